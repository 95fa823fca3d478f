"""``JobPlan``: the trees that a job folds, one or more for each selected array, and the result made of their roots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, partial
from itertools import islice
from typing import Any

from covdist.errors import DataError, JobError
from covdist.folding.batches import batches
from covdist.folding.request import IN_TILES, Request
from covdist.folding.result_size import check_size
from covdist.folding.selection import Selection, requests
from covdist.folding.strategy import plans_of
from covdist.folding.streams import whole_streams
from covdist.given import flag, one_of, path_of
from covdist.growth.made_from import MadeFrom
from covdist.jobs.asked import read_manifest
from covdist.jobs.dask_runner import TaskWork
from covdist.jobs.directory.directory import Directory
from covdist.jobs.directory.fingerprint import array_facts, difference, fingerprint, job_id
from covdist.jobs.folds import Fitting, ManyArrays, OnePass, TreeFold, folds, written_states
from covdist.jobs.known import remember
from covdist.jobs.machine.tree import MergeTree, Node
from covdist.jobs.results import deliver, written
from covdist.jobs.rounds import MissingState, checkpoint, clear
from covdist.logs.opening import log_nodes
from covdist.results.labelled_state import computed
from covdist.results.load import JOB_RESULT
from covdist.results.moments import Moments
from covdist.results.saving import save
from covdist.results.store import check_outside, check_room
from covdist.storage.secrets import clean

_FEW = 64  # small arrays, each of which has a tree and a checkpoint of its own


def question(
    log: str | os.PathLike[str],
    selection: Selection,
    missing_chunks: str,
    output: str | os.PathLike[str] | None,
    follow_links: bool = False,
    concat: bool | None = None,
) -> dict[str, Any]:
    """Return the question as JSON that means the same on another machine with the same disks."""
    one_of("missing_chunks", missing_chunks, ("raise", "fill"))
    given: dict[str, Any] = {
        "log": _absolute(log, "log"), "missing_chunks": missing_chunks, "selection": selection.asked(),
        "output": None if output is None else _absolute(output, "output"),
    }  # fmt: skip
    if flag("follow_links", follow_links):  # which jobs begun before could not ask for
        given["follow_links"] = True
    if concat is not None:
        given["concat"] = flag("concat", concat)
    if clean(given) != given:
        raise JobError(
            f"the address {clean(given['log'])} holds credentials, which a job directory never keeps: put them into "
            "the environment of the workers"
        )
    return given


def _absolute(path: str | os.PathLike[str], name: str) -> str:
    text = path_of(path, name)
    return text if "://" in text else os.path.abspath(text)


class JobPlan:
    """The requests of a ``question``, and their trees.

    ``trees`` is the number of trees in a job that has begun, maybe by a version that folded each small array by itself.
    """

    def __init__(self, question: Mapping[str, Any], trees: int = 0):
        self.question = dict(question)
        opening = {name: question[name] for name in ("missing_chunks", "follow_links", "concat") if name in question}
        log = log_nodes(question["log"], **opening)
        self._nodes, self._opening = log, opening
        self.requests = requests(log, Selection(**question["selection"]))
        for path, request in self.requests.items():
            _check(path, request)
        self.plans = plans_of(self.requests)
        small = batches(self.requests, list(self.plans.values())) if trees < len(self.requests) else []
        self._batches = small if sum(len(batch.requests) for batch in small) > _FEW else []
        batched = {path for batch in self._batches for path in batch.requests}
        self._folds, self._all = dict[str, list[OnePass | Fitting]](), list[TreeFold]()
        for path in [path for path in self.requests if path not in batched]:
            self._folds[path] = folds(self.requests[path], len(self._all))
            self._all += self._folds[path]
        self._all += [ManyArrays(len(self._all) + number, batch) for number, batch in enumerate(self._batches)]

    @cached_property
    def trees(self) -> list[MergeTree]:
        """The trees of the first round."""
        return [one.tree(0) for one in self._all]

    @cached_property
    def labels(self) -> list[str]:
        """What each tree folds: the path of an array, or how many small ones."""
        named = [path or self.requests[path].source for path, several in self._folds.items() for _ in several]
        return [*named, *(f"{len(batch.requests):,} small arrays" for batch in self._batches)]

    @cached_property
    def _names(self) -> list[str]:
        """The array that each tree folds, or the first of many."""
        firsts = [*(path for path, several in self._folds.items() for _ in several)]
        return [
            self.requests[path].sides[0].name for path in [*firsts, *(next(iter(b.requests)) for b in self._batches)]
        ]

    @property
    def sizes(self) -> list[list[int]]:
        """The trees as a manifest holds them."""
        return [[tree.shards, tree.fan_in, tree.keep] for tree in self.trees]

    def due(self, directory: Directory, job: str) -> list[MergeTree]:
        """Return the trees that are to be folded now; none if the job is done."""
        return [] if directory.result(job) is not None else [one.due(directory, job)[0] for one in self._all]

    def input_now(self) -> dict[str, Any]:
        sides = [side for request in self.requests.values() for side in request.sides]
        facts = {
            side.name: array_facts(side.data.shape, side.data.dtype, getattr(side.data, "chunksize", None))
            for side in sides
        }
        return fingerprint(facts, [self.question["log"]])

    def begin(self, directory: Directory, force: bool = False) -> str:
        """Write the manifest, or find it there, and return the job's id; ``force`` writes any size of result."""
        if not directory.begun:  # else much of it is written already
            check_outside(directory.path)
            directory.check_vacant()
            if not force:
                check_size(self.requests, self.plans)
            states = sum(one.bytes_kept for one in self._all)
            check_room(directory.path, states + sum(plan.bytes_written for plan in self.plans.values()))
        now = self.input_now()
        job = job_id({**self.question, "output": None}, self.sizes, now)
        try:
            directory.begin(job, self.question, self.trees, now)
        except OSError as error:
            raise JobError(f"{directory.path} cannot be written ({error}): choose another directory") from error
        except JobError:
            before = read_manifest(directory)
            if {**before["asked"], "output": self.question["output"]} == self.question:
                check_same(directory, before, now)
            raise
        if read_manifest(directory)["job"] != job:
            raise JobError(
                f"manifest.json in {directory.path} was edited, and asks for something else than job {job}: choose "
                "another directory, or resume that job"
            )
        remember(job, directory.path)
        return job

    def work(self, directory: Directory, job: str) -> TaskWork:
        every, read = self._all, partial(checkpoint, directory, job)
        about = MadeFrom.of(self._nodes, Selection(**self.question["selection"]), self._opening).as_json()

        def dumps(node: Node) -> Any:
            one = every[node.tree]
            return one.dumps(node, read) if node in one.tree(node.round).kept else None

        return TaskWork(
            job,
            directory,
            fold=lambda node: every[node.tree].fold(node, read),
            dumps=dumps,
            loads=lambda node: every[node.tree].loads(node),
            finish=partial(self._finish, directory, job, about),
            need=max(plan.peak_bytes for plan in self.plans.values()),
            label=lambda node: self._names[node.tree],
        )

    def so_far(self, directory: Directory, job: str) -> dict[str, Moments]:
        """Return the moments of the rows of each array whose states are written down; those of ``maxent`` have none."""
        read, saved = partial(checkpoint, directory, job), directory.saved()
        found: dict[str, Moments] = {}
        for path, several in self._folds.items():
            passes = [one for one in several if isinstance(one, OnePass)]
            states = written_states(passes, saved, read, self.requests[path].state.ordered)
            if states:
                widths = tuple(one.width for one in several)
                found[path] = computed(states, Moments, widths, self.requests[path].layout())
        for one in self._all:
            if isinstance(one, ManyArrays) and (root := one.tree(0).root) in saved:
                with suppress(MissingState):
                    found |= one.batch.moments(one.state(root, read))
        return {path: found[path] for path in self.requests if path in found}

    def _finish(self, directory: Directory, job: str, about: Mapping[str, Any]) -> None:
        due = [one.due(directory, job) for one in self._all]
        for tree, _ in due:
            clear(directory, tree)
        if all(last for _, last in due):
            self._deliver(directory, job, about, [tree.root for tree, _ in due])

    def _deliver(self, directory: Directory, job: str, about: Mapping[str, Any], roots: list[Node]) -> None:
        read = partial(checkpoint, directory, job)
        states = (one.state(root, read) for one, root in zip(self._all, roots, strict=True))
        found: dict[str, Moments] = {}
        for path, several in self._folds.items():
            widths = tuple(one.width for one in several)
            found[path] = computed(list(islice(states, len(several))), Moments, widths, self.requests[path].layout())
        for batch in self._batches:
            found |= batch.moments(next(states))
        results = {path: found[path] for path in self.requests}
        with written(directory.path) as place:
            save(results if len(results) > 1 else {"": next(iter(results.values()))}, place, about=about)
            if self.question["output"] is not None:
                deliver(place, self.question["output"])
        directory.finish(job, {"result": JOB_RESULT})


def check_same(directory: Directory, manifest: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise JobError if the input has changed since the job began."""
    changed = difference(manifest["input"], now)
    if changed is not None:
        raise JobError(
            f"the input of the job in {directory.path} has changed since it began, {changed}: "
            "begin a new job in another directory"
        )


def _check(path: str, request: Request) -> None:
    if request.matrix == IN_TILES:
        raise DataError(
            f"{path or 'the log'} would become a matrix in tiles, which a job does not make yet: "
            "run it without --job, or leave out --beyond tiles"
        )
    if whole_streams(request).shared:
        raise DataError(f"chunks of {path or 'the log'} share work, which a job cannot do piecemeal: write it to a log")
