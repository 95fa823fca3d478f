"""Credentials stay out of every file, name and text."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from covdist.jobs.directory.directory import Directory
from covdist.jobs.directory.fingerprint import fingerprint, job_id
from covdist.jobs.driver import Driver
from covdist.jobs.machine.events import Failed
from covdist.jobs.machine.tree import MergeTree
from covdist.storage.place import place_at
from covdist.storage.secrets import clean, known_secrets
from tests.jobs.test_driver import Slow

OPTIONS = {
    "key": "AKIAEXAMPLE", "secret": "wJalrXUtnFEMI", "token": "FwoGZXIvYXdz",
    "client_kwargs": {"aws_secret_access_key": "zYxWvUtSrQ", "endpoint_url": "http://localhost:9000"},
    "headers": {"Authorization": "Bearer abcdefgh"}, "password": "hunter22",
}  # fmt: skip
SECRETS = ["AKIAEXAMPLE", "wJalrXUtnFEMI", "FwoGZXIvYXdz", "zYxWvUtSrQ", "abcdefgh", "hunter22", "p4ssw0rd", "s1gned"]


class Failing(Slow):
    """A runner whose tasks fail with a message that quotes its options."""

    def events(self, running, holding):
        return [Failed(task, f"403 for s3://u:p4ssw0rd@host/b?sig=s1gned with {OPTIONS}") for task in running[:1]]


def files(folder: Path) -> str:
    return "\n".join(path.name + path.read_bytes().decode() for path in folder.rglob("*") if path.is_file())


def test_no_file_of_a_job_holds_a_secret(tmp_path):
    log = tmp_path / "log"
    log.mkdir()
    (log / "zarr.json").write_text("{}")
    asked = {
        "log": "s3://u:p4ssw0rd@host/log.zarr?X-Amz-Signature=s1gned&list=1",
        "storage_options": OPTIONS,
        "command": ["run", f"--token={OPTIONS['token']}"],
        "output": {"path": "out", "secret_key": OPTIONS["secret"]},
    }
    directory = Directory(tmp_path / "job", OPTIONS)
    trees = [MergeTree(0, 3, 2, 1)]
    directory.begin(job_id(asked, [], {}), asked, trees, fingerprint({}, [str(log)], OPTIONS))
    clock = iter(range(1000))
    driver = Driver(directory, directory.owners.acquire(0.0, 1e9), trees, Failing(directory), lambda: next(clock))
    assert driver.run() == "failed"
    directory.finish("j", {"path": "s3://u:p4ssw0rd@host/out"})
    written = files(tmp_path / "job")
    assert "X-Amz-Signature=***&list=1" in written
    assert "403 for s3://***@host/b" in written
    for secret in SECRETS:
        assert secret not in written


def test_places_and_directories_do_not_show_their_options():
    directory = Directory("memory://job", OPTIONS)
    for text in (repr(directory), str(directory), repr(place_at("memory://job", OPTIONS)), directory.path):
        assert not any(secret in text for secret in SECRETS)


def test_options_reach_the_workers():
    assert pickle.loads(pickle.dumps(place_at("memory://job", OPTIONS)))._options == OPTIONS


def test_the_name_of_a_job_does_not_depend_on_credentials():
    names = {job_id({"log": "s3://x", "storage_options": {"secret": secret}}, [], {}) for secret in ("a", "b")}
    assert len(names) == 1
    assert job_id({"log": "s3://y"}, [], {}) not in names


@pytest.mark.parametrize(
    "url", ["s3://bucket/log.zarr", "https://host/log?version=3", "memory://x/y", "C:\\log", "user@host"]
)
def test_what_is_no_secret_is_left_alone(url):
    assert clean(url) == url
    content = {"url": url, "shards": 3, "chunks": [1, None, True], "keep": 1}
    assert clean(content) == content


def test_what_counts_as_a_secret():
    assert set(known_secrets(OPTIONS)) == {
        "AKIAEXAMPLE", "wJalrXUtnFEMI", "FwoGZXIvYXdz", "zYxWvUtSrQ", "Bearer abcdefgh", "hunter22",
    }  # fmt: skip
    assert known_secrets(None) == ()
    assert json.dumps(clean({"api_key": "x", "key": None})) == '{"api_key": "***", "key": null}'
