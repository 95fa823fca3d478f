"""``Pass``: one pass over some rows, cut into shards by a plan, as a tree of dask tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from dask.base import tokenize
from dask.delayed import Delayed

from covdist.engine.plan import Plan
from covdist.engine.threads import of_caller, sharing
from covdist.engine.tree import tree
from covdist.folding.streams import Streams
from covdist.rows.fold import Accumulate, Blocks, Shard, fold, folded
from covdist.rows.stream import Stream
from covdist.state.base import merged

Item = tuple[Shard, list[list[object]]]  # the arguments of one fold


class Pass(NamedTuple):
    """Streams and how they are cut."""

    streams: Streams
    plan: Plan
    # Whether a tree is found again by its key: naming numpy arrays, folded at once, by content would be a pass.
    lazy: bool

    @property
    def cuts(self) -> list[tuple[int, int]]:
        return self.plan.cuts(self.streams.first.bounds)

    def key(self, name: str, *about: object) -> str:
        """Name a tree: equal for equal rows and equal ``about``."""
        return f"{name}-{tokenize(*self.streams.tokens(), *about) if self.lazy else uuid4().hex}"

    def shards(self, accumulator: Accumulate) -> list[Shard]:
        return [_shard(self.streams, cut, accumulator) for cut in self.cuts]

    def items(self, accumulator: Accumulate) -> list[Item]:
        """Return each shard and the keys of the blocks that dask makes for it."""
        shards = self.shards(accumulator)
        return [(shard, self.streams.keys(*cut)) for shard, cut in zip(shards, self.cuts, strict=True)]

    def state(
        self,
        key: Callable[[], str],
        accumulator: Accumulate,
        function: Callable[..., object] = fold,
        derived_from: tuple[Callable[..., object], str] | None = None,
    ) -> Any:
        """Return what ``tree`` promises; of one shard in memory folded by this thread."""
        if self.lazy or self.plan.tasks > 1 or self.streams.shared:
            return self.tree(key(), accumulator, function=function, derived_from=derived_from)
        (cut,) = self.cuts
        return folded_here(self.streams, cut, accumulator, function)

    def tree(
        self,
        key: str,
        accumulator: Accumulate,
        *arguments: Delayed,
        function: Callable[..., object] = fold,
        derived_from: tuple[Callable[..., object], str] | None = None,
    ) -> Delayed:
        """Return the state of all rows, lazily; ``function(shard, given, *arguments)`` makes that of a shard.

        ``key``, from ``self.key``, must identify the accumulator and the function; ``derived_from`` as for
        ``covdist.engine.tree.tree``.
        """
        return tree(
            function,
            merged,
            [(*item, *(argument.key for argument in arguments)) for item in self.items(accumulator)],
            name=key,
            fan_in=self.plan.fan_in,
            dependencies=[*self.streams.collections, *arguments],
            derived_from=derived_from,
        )


def folded_here(
    streams: Streams, cut: tuple[int, int], accumulator: Accumulate, function: Callable[..., object] = folded
) -> Any:
    """Return the state of rows in memory, folded by this thread: a graph takes four ms."""
    with sharing(of_caller):
        return function(_shard(streams, cut, accumulator), streams.ready())


def _shard(streams: Streams, cut: tuple[int, int], accumulator: Accumulate) -> Shard:
    return Shard(accumulator, cut[0], _parts(streams.blocks, *cut), _parts(streams.vectors, *cut))


def _parts(streams: dict[str, Stream], start: int, stop: int) -> dict[str, Blocks]:
    return {name: stream.part(start, stop) for name, stream in streams.items()}


def fold_with(shard: Shard, given: Sequence[list[object]], argument: object) -> object:
    """Fold into an accumulator that is made with ``argument``, which was computed before."""
    return fold(Shard(partial(shard.accumulator, argument), shard.start, shard.blocks, shard.vectors), list(given))
