"""Where xarray keeps ``_FillValue``: version 2 in the array's own fill value, version 3 in an attribute, as base64."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

DIMENSIONS = "_ARRAY_DIMENSIONS"  # where xarray keeps names in version 2
PACKING = ("scale_factor", "add_offset", "_Unsigned", "missing_value")


def with_fill_value(
    attributes: Mapping[str, Any], version: int, shape: tuple[int, ...], dtype: np.dtype, fill: Any
) -> dict[str, Any]:
    """Return the attributes with ``_FillValue`` as a number, as ``xarray.open_zarr`` finds it, and without dims."""
    kept = {key: value for key, value in attributes.items() if key != DIMENSIONS}
    if version == 2:
        chosen = DIMENSIONS in attributes and fill is not None  # without names xarray opens no array
        return {**kept, "_FillValue": fill} if chosen and not _by_default(kept, shape, fill) else kept
    given = kept.get("_FillValue")
    if dtype.kind == "f" and isinstance(given, str):
        kept["_FillValue"] = _float(given)
    elif dtype.kind == "c" and isinstance(given, list) and len(given) == 2:
        parts = [_float(part) for part in given]
        kept["_FillValue"] = complex(*parts) if {*map(type, parts)} == {float} else given
    return kept


def _by_default(attributes: Mapping[str, Any], shape: tuple[int, ...], fill: Any) -> bool:
    # zarr's own default is 0, which is a value in steps and epochs. xarray would read NaN.
    return len(shape) < 2 and bool(fill == 0) and not any(key in attributes for key in PACKING)


def _float(given: Any) -> Any:
    """Return the number, or what was given if it is none: it is refused where it would be used."""
    try:
        return float(np.frombuffer(base64.b64decode(given, validate=True), "<f8")[0])
    except (ValueError, TypeError, IndexError):
        return given
