"""All use of dask's private API. ``tests/engine/test_dask_private.py`` and ``test_fork.py`` fail first if dask changes.

Private API of others: ``distributed.comm`` in ``engine/cluster.py`` (tests/readings/test_errors.py), xarray's wrappers
of arrays and ``zarr.core`` in ``logs/zarr`` (tests/test_unwrapping.py, tests/test_logs.py), and ``__pyx_capi__``
of SciPy in ``numerics/blas.py`` (tests/state/test_blas.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from threading import current_thread
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
from dask import _expr, threaded
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_task
from dask.array.chunk import getitem
from dask.array.core import getter_nofancy
from dask.core import get_dependencies
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.tokenize import tokenize_lock
from dask.typing import Key

from covdist.engine.fork import after_fork


def pool_threads() -> int:
    """Return how many threads the pool of dask's has to which this one belongs; 0 where it belongs to none."""
    nested = [pool for pools in list(threaded.pools.values()) for pool in list(pools.values())]
    pools: list[Any] = [threaded.default_pool, dask.config.get("pool", None), *nested]
    prefix = current_thread().name.rpartition("_")[0]  # a pool knows its threads only after they have begun
    return next((pool._max_workers for pool in pools if getattr(pool, "_thread_name_prefix", None) == prefix), 0)


def wrapped_by(array: da.Array, name: str = "") -> Any:
    """Return the object given to ``da.from_array``; None if the array was made otherwise, or changed since.

    ``name`` is that of an array which this one was made of.
    """
    key = f"original-{name or array.name}"
    return dict(array.dask.layers.get(key, {})).get(key)


class SlicedBlock(NamedTuple):
    """What a block was cut from: its place among an array's blocks, and the part of that block."""

    place: tuple[Any, ...]
    part: tuple[slice, ...]


def sliced_from(array: da.Array) -> tuple[str, dict[tuple[int, ...], SlicedBlock]] | None:
    """Return the name of the array that an array was sliced from, and what each block, by its place, was cut from.

    None if anything but slices was done to it.
    """
    layer, sources = array.dask.layers.get(array.name, {}), array.dask.dependencies.get(array.name, set())
    cuts = {key: _cut(task, array.ndim) for key, task in layer.items()} if isinstance(layer, MaterializedLayer) else {}
    found = {key[1:]: cut for key, cut in cuts.items() if isinstance(key, tuple) and cut is not None}
    return (*sources, found) if len(sources) == 1 and len(found) == len(cuts) > 0 else None


def _cut(task: object, ndim: int) -> SlicedBlock | None:
    if isinstance(task, Alias):  # a whole block
        block, part = task.target, (slice(None),) * ndim
    elif isinstance(task, Task) and task.func is getitem and len(task.args) == 2 and isinstance(task.args[0], TaskRef):
        block, part = task.args[0].key, task.args[1]
    else:
        return None
    plain = isinstance(part, tuple) and len(part) == ndim and all(isinstance(each, slice) for each in part)
    return SlicedBlock(block[1:], part) if plain and isinstance(block, tuple) else None


def one_block(array: Any, name: str, meta: np.ndarray) -> da.Array:
    """Return what ``da.from_array`` makes of an array in one block, in a tenth of the time."""
    original, whole = f"original-{name}", tuple(slice(0, size) for size in array.shape)
    read = getter_nofancy, original, whole, True, False  # as numpy arrays, without a lock
    layers: Any = {original: {original: array}, name: {(name, *(0 for _ in whole)): read}}
    graph = HighLevelGraph(
        {key: MaterializedLayer(layer) for key, layer in layers.items()}, {original: set(), name: {original}}
    )
    made: da.Array = object.__new__(da.Array)  # which checks what is known, and notes for pictures what is in the array
    made.dask, made._name, made._chunks, made._meta = graph, name, tuple((size,) for size in array.shape), meta
    return made


def constants_replaced(graph: Mapping[Key, Any], function: Callable[[Any], Any]) -> dict[Key, Any]:
    """Replace each constant that stands in a graph by ``function(constant)``, unless that is None."""
    replaced = dict(graph)
    for key, task in graph.items():
        if isinstance(task, DataNode) and (value := function(task.value)) is not None:
            replaced[key] = DataNode(task.key, value)
    return replaced


def computed_keys(graph: Mapping[Key, Any]) -> set[Key]:
    """Return the keys of all tasks that compute something: all but constants."""
    return {key for key, task in graph.items() if not isinstance(task, DataNode)}


def needed_by(graph: Mapping[Key, Any], key: Key) -> Collection[Key]:
    """Return the keys that a task needs, also those that the graph lacks, which ``get_dependencies`` leaves out."""
    task = graph[key]
    return task.dependencies if isinstance(task, GraphNode) else get_dependencies(graph, key)


def queued_task(key: Key, call: tuple[Any, ...], keys: Collection[Key]) -> Task:
    """Return a task that dask gives to whichever worker is free next, instead of the one that holds its inputs.

    ``call`` is a function and its arguments, of which those among ``keys`` are dependencies.
    """
    task: Any = convert_legacy_task(key, call, keys)
    return Task(key, task.func, *task.args, _data_producer=True)


class DerivedLayer(MaterializedLayer):
    """The tasks of one result, or a single task where the same computation makes what it can be derived from.

    Before it computes, dask asks each layer which of its tasks are needed, and tells it the keys of all layers. If
    ``source`` is among them, ``result`` is ``function`` of it.
    """

    def __init__(self, graph: Mapping[Key, Any], result: Key, function: Callable[[Any], Any], source: Key):
        super().__init__(graph)
        self._result, self._function, self._source = result, function, source

    def cull(self, keys: set[Key], all_hlg_keys: Collection[Key]) -> tuple[Layer, Mapping[Key, set[Key]]]:
        if self._source not in all_hlg_keys:
            return super().cull(keys, all_hlg_keys)
        return MaterializedLayer({self._result: (self._function, self._source)}), {self._result: {self._source}}


class PiecesLayer(MaterializedLayer):
    """The tasks of an array; where it may be computed in one piece, ``check``, which may raise, comes first.

    Dask puts the pieces together in a task of its own, named finalize. Where there are several of those no layer is
    told which of them needs it: ``check(first, count)`` is given a piece's key and how many there are, to ask
    ``put_together`` where it runs.
    """

    def __init__(self, graph: Mapping[Key, Any], pieces: set[Key], check: Callable[[Key, int], None]):
        super().__init__(graph)
        self._pieces, self._check = pieces, check

    def cull(self, keys: set[Key], all_hlg_keys: Collection[Key]) -> tuple[Layer, Mapping[Key, set[Key]]]:
        if not (keys >= self._pieces and any(str(key).startswith(_FINALIZE) for key in all_hlg_keys)):
            return super().cull(keys, all_hlg_keys)
        first: Any = min(self._pieces)
        check = f"check-{first[0]}"
        ask = partial(self._check, first, len(self._pieces))  # in which the key is no dependency
        asking = {check: (ask,), first: (_after, check, *self.mapping[first])}
        return MaterializedLayer({**self.mapping, **asking}).cull({*keys, check}, {*all_hlg_keys, check})


_FINALIZE = "finalize-"


def put_together(first: Key, count: int, dask_scheduler: Any) -> bool:
    """Tell, on a scheduler, whether a task puts ``count`` pieces of an array together, the ``first`` among them."""
    piece = dask_scheduler.tasks.get(first)  # fused with what is computed from it, it has no key any more
    after = piece.dependents if piece is not None else ()
    return any(str(task.key).startswith(_FINALIZE) and len(task.dependencies) >= count for task in after)


def _after(_: None, function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _locks() -> list[Any]:
    """Return those of dask that a computation in a thread holds at times; to Python 3.11 cached properties have one."""
    classes = [da.Array, HighLevelGraph, *(each for each in vars(_expr).values() if isinstance(each, type))]
    cached = [each for kind in classes for each in vars(kind).values() if isinstance(each, cached_property)]
    of_cached = [each.lock for each in cached if hasattr(each, "lock")]
    return [threaded.pools_lock, tokenize_lock, dask.config.config_lock, *of_cached]


@after_fork
def _forget_after_fork(locks: list[Any] = _locks()) -> None:
    """Let go of what a forked child has only a copy of: pools and clients without threads, locks held by others."""
    threaded.default_pool = None
    threaded.pools.clear()
    for lock in locks:
        lock._at_fork_reinit()
    if (clients := sys.modules.get("distributed.client")) is not None:
        clients._global_clients.clear()
        clients._current_client.set(None)
        if dask.config.get("scheduler", None) == "dask.distributed":
            dask.config.set(scheduler=None)
