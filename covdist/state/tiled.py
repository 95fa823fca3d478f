"""``Tiled``: the columns' moments of a matrix too large for a state, which lies beside them in tiles."""

from __future__ import annotations

from covdist.state.variances import Variances


class Tiled(Variances):
    """As ``Variances``, but a sum is refused: the tiles beside it would not add up."""

    __slots__ = ()
    name = "tiles"
