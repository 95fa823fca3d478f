"""One pass over a stream as a dask graph, for readings whose states are no moments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from dask.base import tokenize
from dask.delayed import Delayed

from covdist.engine.plan import Plan
from covdist.engine.tree import tree
from covdist.rows.fold import Shard, fold
from covdist.rows.stream import Stream
from covdist.state.base import merged


class Pass(NamedTuple):
    """A stream called ``name`` in messages, and how it is cut; ``here`` says that it is of a numpy array."""

    name: str
    here: bool
    stream: Stream
    plan: Plan

    @property
    def cuts(self) -> list[tuple[int, int]]:
        return self.plan.cuts(self.stream.bounds)

    def token(self, *options: Any) -> str:
        """Name what a fold makes; numpy arrays are folded at once, so that nothing else has to find it."""
        return "here" if self.here else str(tokenize(self.stream.token, *options))

    @property
    def dependencies(self) -> list[Any]:
        return list(self.stream.collections)

    def items(self, accumulator: Callable[..., Any]) -> list[tuple[Any, ...]]:
        """Return, per cut, the shard and what dask makes for it."""
        return [self._item(accumulator, *cut) for cut in self.cuts]

    def _item(self, accumulator: Callable[..., Any], start: int, stop: int) -> tuple[Any, ...]:
        stream = self.stream
        return Shard(accumulator, start, {self.name: stream.part(start, stop)}, {}), [stream.keys(start, stop)]

    def fold(
        self, function: Callable[..., Any], accumulator: Callable[..., Any], key: str, *arguments: Delayed
    ) -> Delayed:
        """Fold every shard by ``function(shard, given, *arguments)`` and merge."""
        keys = [argument.key for argument in arguments]
        return tree(
            function,
            merged,
            [(*item, *keys) for item in self.items(accumulator)],
            name=key,
            fan_in=self.plan.fan_in,
            dependencies=[*self.dependencies, *arguments],
        )


def fold_with(shard: Shard, given: Any, argument: Any) -> Any:
    """Fold into an accumulator that is told something computed before."""
    make: Callable[..., Any] = shard.accumulator
    return fold(Shard(partial(make, argument), shard.start, shard.blocks, shard.vectors), given)
