"""The folds behind the trees of a job: strips of columns in one pass each, or a Gaussian in several passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple

from covdist.engine.plan import Plan, core_seconds
from covdist.folding.batches import Batch
from covdist.folding.fitted import Iterations, fitted_state, pattern_strip
from covdist.folding.in_memory import Strip, first_strips
from covdist.folding.passes import Pass, fold_with
from covdist.folding.request import Request
from covdist.folding.streams import whole_streams
from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.tree import MergeTree, Node, keep_every, largest
from covdist.jobs.rounds import MissingState, due, state_of
from covdist.jobs.states import dump_state, load_like, load_state
from covdist.numerics.blas import single_thread
from covdist.numerics.em import Fit, Model
from covdist.rows.fold import Accumulate, Shard, fold
from covdist.state.patterns import Expected, Patterns, begin

Read = Callable[[Node], memoryview]  # raises MissingState


class OnePass:
    """The state of a strip of columns, by a tree that is folded once."""

    def __init__(self, tree: int, strip: Strip):
        self._items, self.width, size = strip.items, strip.width, strip.plan.state_bytes
        self._tree = _merge_tree(tree, strip.plan, len(strip.items), size)
        self.bytes_kept = len(self._tree.kept) * size  # most bytes of checkpoints at a time

    def tree(self, number: int) -> MergeTree:
        """Return the tree of a round, from 0 on."""
        return self._tree

    def due(self, directory: Directory, job: str) -> tuple[MergeTree, bool]:
        """Return the round to fold next, or the last one, and whether it is the last."""
        return self._tree, True

    def fold(self, node: Node, read: Read) -> tuple[Any, ...]:
        """Return the function that makes a shard's state, and its arguments."""
        return fold, *self._items[node.start]

    def dumps(self, node: Node, read: Read) -> Callable[[Any], bytes]:
        """Return the function that turns a state into bytes."""
        return dump_state

    def loads(self, node: Node) -> Callable[[memoryview], Any]:
        """Return the function that reads a state, other than a root of several rounds, from its bytes."""
        return partial(load_state, self._items[0][0].accumulator)

    def state(self, root: Node, read: Read) -> Any:
        """Return the state of the result, given the root of the last round."""
        return state_of(self.loads(root), read, root)


class Fitting:
    """A Gaussian: the root of the first round holds the rows' patterns, that of each later round the next model."""

    def __init__(self, tree: int, strip: Strip, request: Request):
        later = Iterations(request, Pass(whole_streams(request), strip.plan, request.lazy))
        self._items, self.width, self._kind = (strip.items, later.items), strip.width, request.state
        columns = sum(request.widths)
        sizes = strip.plan.state_bytes, 8 * columns * (columns + 1)
        self._trees = [_merge_tree(tree, strip.plan, len(strip.items), size) for size in sizes]
        kept, each_round = (len(each.kept) * size for each, size in zip(self._trees, sizes, strict=True))
        self.bytes_kept = kept + 3 * each_round
        self._roots = _Roots(columns, request.fit, self._trees[0].root)
        self._round = lru_cache(maxsize=4)(lambda number: replace(self._trees[number > 0], round=number))

    def tree(self, number: int) -> MergeTree:
        return self._round(number)

    def due(self, directory: Directory, job: str) -> tuple[MergeTree, bool]:
        return due(directory, job, self.tree, self._ends)

    def fold(self, node: Node, read: Read) -> tuple[Any, ...]:
        item = self._items[node.round > 0][node.start]
        return (_fold_next, self._roots, node.round, read, *item) if node.round else (fold, *item)

    def dumps(self, node: Node, read: Read) -> Callable[[Any], bytes]:
        if node.round and node == self.tree(node.round).root:
            return partial(_dump_next, self._roots, node.round, read)
        return dump_state

    def loads(self, node: Node) -> Callable[[memoryview], Any]:
        return partial(load_like, Expected.empty(0) if node.round else Patterns.empty(self._roots.width))

    def _ends(self, number: int, root: memoryview) -> bool:
        def read(node: Node) -> memoryview:
            return root

        few = number == 0 and bool(self._roots.patterns(read).complete)
        return few or self._roots.model(number, read).done

    def state(self, root: Node, read: Read) -> Any:
        return fitted_state(self._roots.model(root.round, read), self._roots.patterns(read), self._kind, self.width)


class ManyArrays:
    """The states of small arrays, by a tree of one shard: writing a checkpoint takes as long as folding 20 of them."""

    def __init__(self, tree: int, batch: Batch):
        self.batch, self._folds, self._tree = batch, batch.folds(), MergeTree(tree, shards=1, fan_in=2, keep=1)
        self._accumulators = [shard.accumulator for shard, _ in batch.items()]
        self.bytes_kept = sum(plan.state_bytes for plan in batch.plans)

    def tree(self, number: int) -> MergeTree:
        return self._tree

    def due(self, directory: Directory, job: str) -> tuple[MergeTree, bool]:
        return self._tree, True

    def fold(self, node: Node, read: Read) -> tuple[Any, ...]:
        return type(self._folds).states, self._folds

    def dumps(self, node: Node, read: Read) -> Callable[[Any], bytes]:
        return _dump_all

    def loads(self, node: Node) -> Callable[[memoryview], Any]:
        return partial(_load_all, self._accumulators)

    def state(self, root: Node, read: Read) -> Any:
        """Return the states of all arrays."""
        return state_of(self.loads(root), read, root)


TreeFold = OnePass | Fitting | ManyArrays


def written_states(strips: Sequence[OnePass], saved: Iterable[Node], read: Read, ordered: bool) -> list[Any]:
    """Return the state of each strip of what is written down, of the same rows; none where nothing is."""
    spans = [{node[1:3] for node in saved if node in one.tree(0).kept} for one in strips]
    common = set.intersection(*spans) if spans else set()
    found = list[Any]()
    for one in strips:
        nodes = largest(node for node in one.tree(0).kept if node[1:3] in common)
        if ordered:  # of which only neighbours merge
            nodes = nodes[:1]
        states = [state for node in nodes if (state := _if_whole(one, node, read)) is not None]
        if len(states) < max(len(nodes), 1):
            return []
        with single_thread():
            found.append(reduce(lambda a, b: a.merge(b), states))
    return found


def folds(request: Request, first: int) -> list[OnePass | Fitting]:
    """Return a request's trees, numbered from ``first`` on."""
    if request.policy.strategy is not None:
        return [Fitting(first, pattern_strip(request), request)]
    return [OnePass(first + i, strip) for i, strip in enumerate(first_strips(request))]


def _if_whole(one: OnePass, node: Node, read: Read) -> Any:
    try:
        return one.state(node, read)
    except MissingState:
        return None


class _Roots(NamedTuple):
    width: int
    fit: Fit
    first: Node

    def patterns(self, read: Read) -> Patterns:
        return state_of(partial(load_like, Patterns.empty(self.width)), read, self.first)

    def model(self, number: int, read: Read) -> Model:
        if number == 0:
            return begin(self.patterns(read), self.fit)
        return state_of(partial(load_like, Model.empty(self.width)), read, self.first._replace(round=number))


def _fold_next(roots: _Roots, number: int, read: Read, shard: Shard, given: Any) -> Any:
    return fold_with(shard, given, roots.model(number - 1, read))


def _dump_all(states: Iterable[Any]) -> bytes:
    return dump_state(tuple(states))


def _load_all(accumulators: Sequence[Accumulate], data: memoryview) -> tuple[Any, ...]:
    return tuple(load_like(tuple(accumulator().state() for accumulator in accumulators), data))


def _dump_next(roots: _Roots, number: int, read: Read, expected: Expected) -> bytes:
    with single_thread():
        return dump_state(roots.model(number - 1, read).stepped(*expected))


def _merge_tree(tree: int, plan: Plan, shards: int, state_bytes: int) -> MergeTree:
    return MergeTree(tree, shards, plan.fan_in, keep_every(shards, state_bytes, core_seconds(plan.work) / shards))
