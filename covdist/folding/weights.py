"""Weights of rows: given by the caller, or fading along the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np

from covdist.engine import small_arrays
from covdist.errors import DataError
from covdist.folding.inputs import along_samples, calendar_steps, length
from covdist.given import one_of
from covdist.results.labels import Array, Labelled, Weights

Halflife = float | str | np.timedelta64 | None


def weight_vectors(weights: Weights, x: Labelled) -> dict[str, Array]:
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


def _whole(values: Array) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind == "f" and bool((values == np.rint(values)).all())


def _check_weights(values: Array, what: str, kinds: str) -> None:
    if values.dtype.kind not in kinds:
        expected = "integers (frequency) or floats (reliability)" if "f" in kinds else "integers"
        way_out = "convert them" if "f" in kinds else "round them, or pass them as reliability"
        raise DataError(f"{what} have dtype {values.dtype}, expected {expected}: {way_out}")


def fading(halflife: Halflife, x: Labelled, vectors: dict[str, Array]) -> dict[str, Array]:
    """Return the vectors with reliabilities that halve with every ``halflife`` before the last sample."""
    if halflife is None:
        return vectors
    elapsed, steps = ages(halflife, x)
    if isinstance(elapsed, da.Array):
        weights: Array = da.map_blocks(faded, elapsed, steps, dtype=float)
    else:
        weights = faded(elapsed, steps)
    given = vectors.get("reliability")
    return {**vectors, "reliability": weights if given is None else given * weights}


def faded(elapsed: np.ndarray, halflife: float) -> np.ndarray:
    """Return the weights of rows so long before the last one, 0 where float64 has no smaller one."""
    with np.errstate(over="ignore"):  # of the number of half-lives
        return np.asarray(0.5 ** (elapsed / halflife))


def ages(halflife: float | str | np.timedelta64, x: Labelled) -> tuple[Array, float]:
    """Return how long before the last sample each lies, by its coordinate or its number, and the half-life."""
    if len(x.sample_dims) != 1:
        raise DataError(
            f"halflife runs along one dim, found {len(x.sample_dims)}, {', '.join(x.sample_dims)}: pass one of them"
        )
    (dim,), (n,) = x.sample_dims, x.sample_shape
    if dim not in x.coords:
        chunks = x.data.chunks[0] if isinstance(x.data, da.Array) else None
        number = np.arange(n) if chunks is None else da.arange(n, chunks=chunks)
        return n - 1 - number, length("halflife", halflife, 1.0)
    values, unit = calendar_steps(small_arrays.values(x.coords[dim]))
    if values.dtype.kind not in "iufmM" or not np.isfinite(values).all():
        raise DataError(f"the coordinate {dim!r} of {x.name} has values that are not positions: leave such rows out")
    if values.dtype.kind in "mM":
        known: Any = np.datetime_data(values.dtype)[0]
        values, unit = values.view(np.int64), np.timedelta64(1, known)
    return _before_the_last(values), length("halflife", halflife, unit)


def _before_the_last(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        with np.errstate(over="ignore"):
            return np.asarray(values.max() - values)
    # Integers of few bits differ by more than their dtype holds; modulo 2**64 every difference is exact.
    return np.asarray(values.max().astype(np.uint64) - values.astype(np.uint64))
