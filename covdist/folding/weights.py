"""Weights of rows: what the caller says, and weights that fade along the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from covdist.errors import DataError
from covdist.folding.inputs import along_samples, one_of
from covdist.results.labels import Labelled


def weight_vectors(weights: Any, x: Labelled) -> dict[str, Any]:
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        values = along_samples(weights, x, "weights")
        _check_weights(values, "weights", "biuf")
        return {"reliability" if values.dtype.kind == "f" else "frequency": values}
    vectors = {}
    for name, given in weights.items():
        one_of("weights", name, ("frequency", "reliability"))
        vectors[name] = along_samples(given, x, f"weights[{name!r}]")
        whole = name == "reliability" or _whole(vectors[name])
        _check_weights(vectors[name], f"weights[{name!r}]", "biuf" if whole else "biu")
    return vectors


def _whole(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind == "f" and bool((values == np.rint(values)).all())


def _check_weights(values: Any, what: str, kinds: str) -> None:
    if values.dtype.kind not in kinds:
        expected = "integers (frequency) or floats (reliability)" if "f" in kinds else "integers"
        way_out = "convert them" if "f" in kinds else "round them, or pass them as reliability"
        raise DataError(f"{what} have dtype {values.dtype}, expected are {expected}: {way_out}")
