"""A job directory on S3, as far as a server in this process is like it."""

from __future__ import annotations

import threading

import pytest

import covdist
from covdist.errors import JobError
from covdist.jobs.directory.directory import Directory
from covdist.jobs.directory.fingerprint import difference, fingerprint
from covdist.jobs.job import Job
from covdist.jobs.machine.tree import MergeTree, Node
from covdist.jobs.states import dump_state
from tests.cli.running import PATIENCE, output
from tests.jobs.clusters import cluster, driver, kill, patchy_log, until
from tests.jobs.folded import Folds
from tests.object_store import s3fs, serving

pytestmark = pytest.mark.filterwarnings("default")  # of the server's own packages


@pytest.fixture(scope="module")
def options():
    with serving("bucket") as found:
        yield found


def test_what_is_written_is_read(options):
    directory = Directory("s3://bucket/jobs/1", options)
    for _ in range(2):
        directory.begin("j1", {"log": "x"}, [MergeTree(0, 3, 2, 1)], {})
    before = fingerprint({}, ["s3://bucket/jobs/1"], options)
    directory.save("j1", Node(0, 0, 0), b"abc" * 100_000)
    assert directory.saved() == {Node(0, 0, 0)}
    assert directory.load("j1", Node(0, 0, 0)) == b"abc" * 100_000
    directory.note([{"event": "a"}])
    directory.note([{"event": "b"}])
    assert [line["event"] for line in directory.events()] == ["a", "b"]
    for _ in range(2):
        directory.forget([Node(0, 0, 0)])
        assert not directory.saved()
    directory.save("j1", Node(0, 0, 0), b"abc")
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
            barrier.wait(200)
            try:
                directory.owners.acquire(1.0, 10.0)
            except JobError:
                continue
            won.append(number)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert sorted(won) == list(range(20))


# ---- whole jobs, of processes that find the store by their environment

SECRET = "testing2"


@pytest.fixture
def environment(options, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["client_kwargs"]["endpoint_url"])
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return patchy_log(tmp_path_factory.mktemp("log") / "log.zarr", 20_000)


@pytest.fixture(scope="module")
def expected(log):
    tree = covdist.open_log(log, missing_chunks="fill")
    return dump_state(covdist.moments(tree["fc1/activation"], dim="sample").compute(scheduler="threads").state)


@pytest.mark.usefixtures("environment")
def test_a_killed_driver_is_resumed(log, expected, tmp_path, monkeypatch):
    url, out = "s3://bucket/jobs/run", tmp_path / "out.zarr"
    words = ("--missing-chunks", "fill", "-o", out, "--job", url)
    with monkeypatch.context() as patch:
        for name, value in Folds(tmp_path / "folds", most=3).environment.items():
            patch.setenv(name, value)
        with driver("run", log, *words, "--workers", "2") as process:
            until(lambda: len(Directory(url).saved()) == 3)
            kill(process)
    job = Job(url)
    assert job.status()["status"] == "lost"
    output("resume", url, "--workers", "2")
    assert dump_state(job.result().state) == dump_state(covdist.load(out).state) == expected
    assert job.directory.progress()["folds_started"] == job.status()["shards"] - 3
    store = s3fs.S3FileSystem(use_listings_cache=False)
    assert all(SECRET.encode() not in store.cat_file(name) for name in store.find("bucket/jobs/run"))


@pytest.mark.usefixtures("environment")
def test_a_job_is_submitted_and_listed(log, expected, tmp_path):
    url = "s3://bucket/listed/1"
    with cluster(tmp_path / "cluster") as found:
        name = output("submit", log, "--missing-chunks", "fill", "--job", url, "--scheduler-file", found.file).strip()
        Job(url).wait(PATIENCE)
    assert dump_state(Job(url).result().state) == expected
    assert name == url
    assert Job(url).id in output("jobs", "s3://bucket/listed")
    assert "done" in output("status", url)
