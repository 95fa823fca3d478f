"""Which rows with NaN or infinity are folded, one function for each rule; and masked arrays as arrays with NaN.

Each rule looks at the blocks of one stretch of rows (``x`` alone, or ``x`` and ``y``) and returns the rows to keep, a
bool array, or None for all of them. NaN is missing; infinity is an error, or missing where ``inf="missing"``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from covdist.errors import NonFiniteError

RowPolicy = Callable[[Sequence[np.ndarray], str], np.ndarray | None]

INFINITIES = ("raise", "missing")
_UNFILLED = "a column without any value cannot be filled: leave it out, or pass missing='pairwise'"
_EXPECTED = (
    "missing='raise' expects finite values only: leave such rows out with missing='drop', let NaN into the results "
    "with missing='propagate', or use what there is with missing='pairwise', 'interpolate' or 'maxent'"
)
_ASK = "NaN counts as missing here, infinity only with inf='missing': pass that, or correct the values"


def holes(block: np.ndarray, inf: str) -> np.ndarray:
    """Return which values are missing, bool of the block's shape."""
    return ~np.isfinite(block) if inf == "missing" else np.isnan(block)


def all_finite(block: np.ndarray) -> bool:
    if block.dtype.kind in "iub":
        return True
    if block.dtype.kind == "f" and block.flags.c_contiguous:
        flat = block.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(flat, flat)):  # at the speed of memory; large values overflow, and are looked at
                return True
    return bool(np.isfinite(block).all())


def refuse(blocks: Sequence[np.ndarray], inf: str) -> np.ndarray | None:
    """Raise, naming the first bad row and column."""
    raise _error(blocks, lambda block: ~np.isfinite(block), _EXPECTED)


def propagate(blocks: Sequence[np.ndarray], inf: str) -> np.ndarray | None:
    """Let NaN and infinity run into every result of their column."""
    return None


def drop(blocks: Sequence[np.ndarray], inf: str) -> np.ndarray | None:
    """Leave out each row with a missing value in any column of any block."""
    refuse_infinity(blocks, inf)
    keep = np.ones(len(blocks[0]), bool)
    for block in blocks:
        keep &= ~holes(block, inf).any(axis=1)
    return keep


def keep_all(blocks: Sequence[np.ndarray], inf: str) -> np.ndarray | None:
    """Keep every row; missing values are left out one by one, or estimated."""
    refuse_infinity(blocks, inf)
    return None


def refuse_unfilled(blocks: Sequence[np.ndarray], inf: str) -> np.ndarray | None:
    """Raise at a value that filling has left missing."""
    raise _error(blocks, lambda block: ~np.isfinite(block), _UNFILLED)


def refuse_infinity(blocks: Sequence[np.ndarray], inf: str) -> None:
    """Raise at an infinity that does not count as missing."""
    if inf != "missing" and any(np.isinf(block).any() for block in blocks):
        raise _error(blocks, np.isinf, _ASK)


BY_NAME: dict[str, RowPolicy] = {rule.__name__: rule for rule in (refuse, propagate, drop, keep_all, refuse_unfilled)}


def _error(blocks: Sequence[np.ndarray], found: Callable[[np.ndarray], np.ndarray], advice: str) -> NonFiniteError:
    bad = [found(block) for block in blocks]
    first = [int(np.argmax(mask.any(axis=1))) if mask.any() else len(mask) for mask in bad]
    side = int(np.argmin(first))
    row = first[side]
    column = int(np.argmax(bad[side][row]))
    value, amount = blocks[side][row, column], sum(int(mask.sum()) for mask in bad)
    return NonFiniteError(f"{value}", row=row, column=column, amount=amount, side=side, advice=advice)


def unmasked(values: Any) -> np.ndarray:
    """Return an array whose masked entries are NaN; integers become float64 in all chunks, masked or not."""
    values = gathered(values)
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    return np.asarray(values.filled(np.nan) if values.dtype.kind in "fc" else values.filled())


def gathered(values: Any) -> Any:
    """Return lists that hold masked arrays, at whatever depth, as one masked array; all else as it is."""
    if not _holds_masked(values) or isinstance(values, np.ma.MaskedArray):
        return values
    return np.ma.stack([np.ma.asanyarray(gathered(each)) for each in values])


def _holds_masked(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(map(_holds_masked, values))
    return isinstance(values, np.ma.MaskedArray)
