"""What may pass is tried again, what will not is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from covdist.storage.retry import may_pass, patiently, statuses


def http(status: int) -> OSError:
    """Make an error as s3fs raises it: a plain OSError, caused by one that carries the answer."""
    error = OSError("refused")
    error.__cause__ = RuntimeError("x")
    error.__cause__.response = {"ResponseMetadata": {"HTTPStatusCode": status}}
    return error


@pytest.mark.parametrize("error", [http(500), http(503), http(429), TimeoutError(), ConnectionResetError()])
def test_what_may_pass(error):
    waits: list[float] = []
    answers = iter([error, error, "answer"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(call, waits.append) == "answer"
    assert waits == sorted(waits)
    assert len(waits) == 2


@pytest.mark.parametrize("error", [http(403), http(404), FileNotFoundError("x"), PermissionError("x"), ValueError("x")])
def test_what_will_not(error):
    calls = []

    def call() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        patiently(call, pytest.fail)
    assert len(calls) == 1


def test_patience_ends():
    waits: list[float] = []

    def call() -> None:
        raise http(503)

    with pytest.raises(OSError, match="refused"):
        patiently(call, waits.append)
    assert sum(waits) < 5


def test_statuses_wherever_clients_put_them():
    one, two = RuntimeError(), RuntimeError()
    one.status = 502  # aiohttp
    two.response = SimpleNamespace(status_code=404)  # requests
    assert statuses(one) == {502}
    assert statuses(two) == {404}
    assert may_pass(one)
    assert not may_pass(two)
