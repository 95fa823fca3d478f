"""What a column of a table holds, by its Arrow type, and by its first row where that does not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import LogError, shown

TEXT = np.dtypes.StringDType()
_MOST_DIMS = 8


class TableColumn(NamedTuple):
    """What a column holds in each row: values of a dtype, in lists of these lengths, -1 where its type says none.

    ``gaps`` says that whole numbers or flags are not all there, which are read as floats then, as NaN.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...] = ()
    gaps: bool = False


class LostColumn(NamedTuple):
    """A column that cannot be read, and the error that says why."""

    name: str
    error: LogError


def lengths_of(array: Any) -> list[int]:
    """Return the lengths of the lists in an Arrow array of one row, from the outermost; fewer where one is empty."""
    import pyarrow as pa

    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    lengths: list[int] = []
    while pa.types.is_nested(array.type) and len(array) and array[0].is_valid:
        lengths.append(len(array[0]))
        array = array.flatten()
    return lengths


def column(name: str, kind: Any) -> TableColumn:
    """Return what a field of an Arrow schema holds; LogError where that is neither numbers nor texts."""
    import pyarrow as pa

    shape: tuple[int, ...] = ()
    inner = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    while pa.types.is_list(inner) or pa.types.is_large_list(inner) or pa.types.is_fixed_size_list(inner):
        shape += (inner.list_size if pa.types.is_fixed_size_list(inner) else -1,)
        inner = inner.value_type
    flat = inner.value_type if pa.types.is_dictionary(inner) else inner
    if any(is_text(flat) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return TableColumn(name, TEXT, shape)
    dtype = None
    if pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner):
        dtype = np.dtype(inner.to_pandas_dtype())
    elif pa.types.is_timestamp(inner) or pa.types.is_duration(inner):
        dtype = np.dtype(f"{'M' if pa.types.is_timestamp(inner) else 'm'}8[{inner.unit}]")
    elif pa.types.is_date(inner):
        dtype = np.dtype("M8[D]")
    if dtype is None or len(shape) > _MOST_DIMS:
        raise LogError(
            f"column {shown(name)} holds {shown(str(kind))}, no numbers or texts: write it as float64, or leave it out."
        )
    return TableColumn(name, dtype, shape)


def told(field: Any, first: Callable[[], Any], nulls: Callable[[], int]) -> TableColumn | LostColumn:
    """Return what a field holds; of lists whose type does not tell their length, ``first``, its first row, does.

    ``nulls`` tells how many of its values are not there, as far as is known.
    """
    try:
        found = column(field.name, field.type)
        found = found._replace(gaps=found.dtype.kind in "iub" and nulls() > 0)
        if -1 not in found.shape:
            return found
        row = first()
        if row is None:  # of a table without rows, which may be one of several parts
            return found._replace(shape=tuple(max(0, length) for length in found.shape))
        lengths = lengths_of(row)
        if len(lengths) != len(found.shape):
            raise LogError(f"column {shown(field.name)} begins with an empty list: fill it, or leave it out.")
        return found._replace(shape=tuple(lengths))
    except LogError as error:
        return LostColumn(field.name, error)
