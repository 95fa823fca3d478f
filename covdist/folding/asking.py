"""One question asked of the states of many arrays, each where it is folded; a state is gone when it has answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from dask.delayed import delayed

from covdist.folding.batches import Batch, batches
from covdist.folding.fold import fold_request
from covdist.folding.request import Request
from covdist.folding.strategy import for_workers, plans_of
from covdist.results.deferred import apply


class Question(Protocol):
    """What is asked of a state, or of each of its strips of columns."""

    def each(self, state: Any, /) -> Any: ...
    def joined(self, answers: Sequence[Any], /) -> Any: ...  # of the strips


def asked(requests: Mapping[str, Request], questions: Mapping[str, Question]) -> list[Any]:
    """Return dicts of answers by path, or promises of such dicts, which together have all paths.

    Small arrays share a task, as in ``covdist.folding.batches``.
    """
    plans = plans_of(requests)
    small = batches(requests, list(plans.values()))
    batched = {path for batch in small for path in batch.requests}
    found = [_of_batch(batch, [questions[path] for path in batch.requests]) for batch in small]
    for path, request in requests.items():
        if path not in batched:
            strips = fold_request(for_workers(request, plans[path])).deferred.parts
            answers = [apply(questions[path].each, strip) for strip in strips]
            found.append(apply(_Joined(path, questions[path]), *answers))
    return found


def _of_batch(batch: Batch, questions: Sequence[Question]) -> Any:
    answers = _BatchAnswers(list(batch.requests), questions)
    # Opaque on purpose, as the folds are.
    return delayed(answers, pure=False, traverse=False)(batch.folds(), dask_key_name=f"ask-{uuid4().hex}")


class _Joined:
    def __init__(self, path: str, question: Question):
        self._path, self._question = path, question

    def __call__(self, *answers: Any) -> dict[str, Any]:
        return {self._path: self._question.joined(answers)}


class _BatchAnswers:
    def __init__(self, paths: Sequence[str], questions: Sequence[Question]):
        self._paths, self._questions = paths, questions

    def __call__(self, folds: Any) -> dict[str, Any]:
        asked = zip(self._paths, self._questions, folds.states(), strict=True)
        return {path: question.joined([question.each(state)]) for path, question, state in asked}
