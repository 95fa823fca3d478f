"""A job directory on S3, as far as a server in this process is like it."""

from __future__ import annotations

import threading

import pytest

from covdist.engine.job.directory import Directory
from covdist.engine.job.fingerprint import difference, fingerprint
from covdist.engine.job.shape import Node, Shape
from covdist.errors import JobError

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
server = pytest.importorskip("moto.server", reason="moto[server] is not installed")

pytestmark = pytest.mark.filterwarnings("default")  # of the server's own packages


@pytest.fixture(scope="module")
def options():
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    _, port = running.get_host_and_port()
    found = {"key": "testing1", "secret": "testing2", "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
    s3fs.S3FileSystem(**found).mkdir("bucket")
    yield found
    running.stop()


def test_a_whole_job(options):
    directory = Directory("s3://bucket/jobs/1", options)
    for _ in range(2):
        directory.begin("j1", {"log": "x"}, [Shape(0, 3, 2, 1)], {})
    before = fingerprint({}, ["s3://bucket/jobs/1"], options)
    directory.save("j1", Node(0, 0, 0), b"abc" * 100_000)
    assert directory.saved() == {Node(0, 0, 0)}
    assert directory.load("j1", Node(0, 0, 0)) == b"abc" * 100_000
    directory.note([{"event": "a"}])
    directory.note([{"event": "b"}])
    assert [line["event"] for line in directory.events()] == ["a", "b"]
    assert directory.result("j1") is None
    assert difference(before, fingerprint({}, ["s3://bucket/jobs/1"], options)) == (
        "s3://bucket/jobs/1 had 1 files and has now 3"
    )


def test_one_owner(options):
    won: list[int] = []
    barrier = threading.Barrier(4)

    def race() -> None:
        for number in range(20):
            directory = Directory(f"s3://bucket/race/{number}", options)
            barrier.wait(60)
            try:
                directory.owners.acquire(1.0, 10.0)
            except JobError:
                continue
            won.append(number)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(won) == list(range(20))
