"""``BandAccumulator``: folds a rectangle of one scatter matrix, some columns with others of the same rows."""

from __future__ import annotations

import numpy as np

from covdist.errors import NonFiniteError
from covdist.numerics.accumulator import Options
from covdist.state.cross import Cross


class BandAccumulator:
    """Makes a ``Cross`` of the columns ``left`` of the first block that is added, and ``right`` of the last one.

    Counts of rows and of special values are those of the rectangle's columns alone. ``origins`` are the columns of the
    whole array before those blocks, for messages; with ``whole_rows`` a missing value leaves its row out of all columns.
    """

    def __init__(self, left: slice, right: slice, origins: tuple[int, int], options: Options, whole_rows: bool):
        self._cuts, self._options, self._whole_rows = (left, right), options, whole_rows
        self._before = [origin + cut.start for origin, cut in zip(origins, self._cuts, strict=True)]
        self._seen = 0
        self._inner = Cross.accumulator(left.stop - left.start, right.stop - right.start, options)
        self.least_rows = self._inner.least_rows

    def add(self, *blocks: np.ndarray, **vectors: np.ndarray) -> None:
        """Fold rows of one block that holds all the columns, or of two."""
        if self._whole_rows:
            keep = self._kept(blocks)
            if keep is not None and not keep.all():
                blocks = tuple(block[keep] for block in blocks)
                vectors = {name: vector[keep] for name, vector in vectors.items()}
        left, right = self._cuts
        try:
            self._inner.add(blocks[0][:, left], blocks[-1][:, right], **vectors)
        except NonFiniteError as error:
            error.column += self._before[error.side]
            error.side = 0
            raise

    def _kept(self, blocks: tuple[np.ndarray, ...]) -> np.ndarray | None:
        try:
            keep = self._options.missing(blocks, self._options.inf)
        except NonFiniteError as error:
            error.row += self._seen
            raise
        self._seen += len(blocks[0])
        return keep

    def state(self) -> Cross:
        return self._inner.state()
