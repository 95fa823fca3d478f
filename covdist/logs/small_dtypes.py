"""Data types of the package ml_dtypes, which numpy lacks: bfloat16, float8, int4."""

from __future__ import annotations

import numpy as np

from covdist.errors import LogError, shown


def ml_dtype(name: str, place: str) -> np.dtype:
    """Return a dtype by its name; LogError without the package, or where it has none such."""
    try:
        import ml_dtypes  # type: ignore[import-not-found, unused-ignore]

        return np.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError, TypeError) as error:
        raise LogError(
            f"{place} has the data type {shown(name)}, which the package ml_dtypes reads ({error}): install it, "
            "pip install 'covdist[dtypes]', or record the array as float32."
        ) from error


def widened(dtype: np.dtype) -> np.dtype:
    """Return the dtype as which values are seen: numpy's own next larger one for those of ml_dtypes."""
    if dtype.isbuiltin != 2:
        return dtype
    return np.dtype("i1" if "int" in dtype.name else "f4")
