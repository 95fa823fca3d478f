"""One writer per rank, and nothing counted twice or lost without a word."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import covdist
from covdist.errors import DataError, LogError, ResultError
from covdist.logs.opening import open_log
from covdist.record.claim import LEASE
from covdist.record.recorder import Recorder
from covdist.storage.place import Folder, place_at
from tests.child import child


def leases(path: Path) -> list[Path]:
    return sorted(Path(f"{path}.lease").rglob("*.json"))


@pytest.mark.parametrize("mode", ["x", "a"])
@pytest.mark.parametrize("rank", [None, 3])
def test_a_second_writer_is_refused(tmp_path, mode, rank):
    path = tmp_path / "log"
    with Recorder(path, rank=rank) as rec:
        with pytest.raises(ResultError, match=r"being recorded by .* \(process \d+\), expected one writer"):
            Recorder(path, mode=mode, rank=rank)
        rec.log(0, {"a": np.ones((2, 3))})
    assert open_log(path)["a"].shape == (2, 3)
    assert not Path(f"{path}.lease").exists()


def test_urls_have_one_writer_too():
    with Recorder("memory://one-writer"), pytest.raises(ResultError, match="expected one writer"):
        Recorder("memory://one-writer", mode="a")
    Recorder("memory://one-writer", mode="a").close()


WRITER = """
import sys, numpy as np
from covdist.record.recorder import Recorder
path, rank = sys.argv[1], None if sys.argv[2] == "-" else int(sys.argv[2])
with Recorder(path, mode="a", rank=rank, chunk_bytes=200) as rec:
    print("ready", flush=True)
    sys.stdin.readline()
    for step in range(40):
        arrays = {"fc1/a": np.full((2, 3), 100 * (rank or 0) + step), "fc1/gradient": np.full(4, step)}
        rec.log(step, arrays, epoch=step // 9)
"""


@contextmanager
def writers(path: Path, *ranks: str) -> Iterator[list[subprocess.Popen[str]]]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with ExitStack() as stack:
        commands = [[sys.executable, "-c", WRITER, str(path), rank] for rank in ranks]
        yield [stack.enter_context(child(command, **pipes, text=True)) for command in commands]


def test_of_two_processes_one_writes_and_the_other_says_so(tmp_path):
    with writers(tmp_path / "log", "-", "-") as processes:
        assert sorted([process.stdout.readline() for process in processes]) == ["", "ready\n"]
        errors = [process.communicate("go\n")[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert sum("expected one writer" in error for error in errors) == 1
    assert open_log(tmp_path / "log")["fc1/a"].shape == (80, 3)


def test_ranks_lose_no_row(tmp_path):
    path = tmp_path / "log"
    with writers(path, "0", "1", "2") as processes:
        for process in processes:
            process.communicate("go\n", timeout=200)
            assert process.returncode == 0
    fc1 = open_log(path)["fc1"].ds
    expected = np.concatenate([np.repeat(100 * rank + np.arange(40), 2) for rank in range(3)])
    np.testing.assert_array_equal(fc1["a"], np.repeat(expected[:, None], 3, 1))
    np.testing.assert_array_equal(fc1["sample_rank"], expected // 100)
    np.testing.assert_array_equal(fc1["sample_step"], expected % 100)
    np.testing.assert_array_equal(fc1["sample_epoch"], expected % 100 // 9)
    assert fc1["gradient"].dims == ("step", "param")
    np.testing.assert_array_equal(fc1["rank"], np.repeat(range(3), 40))
    means = covdist.moments(fc1["a"], dim="sample", by="rank").compute().mean()
    np.testing.assert_allclose(means.values[:, 0], [19.5, 119.5, 219.5])


def test_ranks_may_begin_a_log_at_the_same_moment(tmp_path, monkeypatch):
    path, link = tmp_path / "runs" / "log", os.link

    def after_another(source, target):
        monkeypatch.setattr(os, "link", link)
        if Path(target).name == "zarr.json":
            Recorder(path, mode="a", rank=1).close()
        else:
            monkeypatch.setattr(os, "link", after_another)
        link(source, target)

    monkeypatch.setattr(os, "link", after_another)
    with Recorder(path, mode="a", rank=0) as rec:
        rec.log(0, {"a": np.ones((2, 3))})
    assert os.link is link
    assert open_log(path)["a"].shape == (2, 3)
    assert sorted(each.name for each in path.iterdir()) == ["rank0", "rank1", "zarr.json"]
    assert [each.name for each in path.parent.iterdir()] == ["log"]


def test_ranks_may_record_different_arrays(tmp_path):
    path = tmp_path / "log"
    for rank in (1, 0):
        with Recorder(path, rank=rank, chunk_bytes=64) as rec:
            for step in range(rank, 6):
                arrays = {"n/a": np.full((rank + 1, 2), step)}
                if rank == 1:
                    arrays["n/b"] = np.full((2, 3), step)
                else:
                    arrays["loss"] = float(step)
                if step == 3:
                    arrays["n/weight"] = np.full(3, step)
                rec.log(step, arrays)
    log = open_log(path)
    n = log["n"].ds
    np.testing.assert_array_equal(n["a"][:, 0], [*range(6), *np.repeat(range(1, 6), 2)])
    np.testing.assert_array_equal(n["b"][:, 0], np.repeat(range(1, 6), 2))
    assert n["b"].dims == ("b_sample", "b_unit")
    np.testing.assert_array_equal(n["b_sample_step"], np.repeat(range(1, 6), 2))
    np.testing.assert_array_equal(n["b_sample_rank"], [1] * 10)
    np.testing.assert_array_equal(n["weight"][:, 0], [3, 3])
    np.testing.assert_array_equal(log["loss"], range(6))
    np.testing.assert_array_equal(covdist.var(n["a"], dim="sample").compute(), np.var(n["a"].values, axis=0))


def test_rows_of_other_shapes_in_another_rank_are_refused_by_name(tmp_path):
    for rank in range(2):
        with Recorder(tmp_path / "log", rank=rank) as rec:
            rec.log(0, {"a": np.ones((2, 3 + rank)), "b": np.ones((2, 3))})
    with pytest.warns(UserWarning, match="a has rows of several shapes"):
        log = open_log(tmp_path / "log")
    assert log["b"].shape == (4, 3)
    with pytest.raises(LogError, match="a has rows of several shapes"):
        log["a"]


def test_a_log_of_ranks_stays_one(tmp_path):
    Recorder(tmp_path / "one").close()
    with pytest.raises(ResultError, match="a log of a single writer, and rank is 0: leave out rank="):
        Recorder(tmp_path / "one", rank=0)
    Recorder(tmp_path / "many", rank=0).close()
    with pytest.raises(ResultError, match="a log of several ranks, and rank is None: pass rank="):
        Recorder(tmp_path / "many", mode="a")
    with pytest.raises(ResultError, match="exists already"):
        Recorder(tmp_path / "many", rank=0)
    for bad in (-1, 1.5, "0"):
        with pytest.raises(DataError, match="rank must be"):
            Recorder(tmp_path / "new", rank=bad)
    assert not (tmp_path / "new").exists()


def test_a_killed_writer_is_replaced_at_once(tmp_path):
    path = tmp_path / "log"
    with writers(path, "-") as (process,):
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert leases(path)
    Recorder(path, mode="a").close()
    assert not leases(path)


def another_host(path: Path, until: float) -> None:
    """Make the lease one of a process of another machine."""
    (file,) = leases(path)
    owners, lease = foreign(path)
    owners._rewrite(replace(lease, process="elsewhere 1 1 1", owner="elsewhere (process 1)", until=until))
    assert file.exists()


def foreign(path: Path):
    from covdist.storage.owners import Owners

    owners = Owners(place_at(f"{path}.lease", durable=False), "", lambda owner, seconds: AssertionError(), "all")
    return owners, owners.current()


def test_a_lease_of_another_host_expires(tmp_path):
    path = tmp_path / "log"
    old = Recorder(path)
    old.log(0, {"a": np.ones((2, 3))})
    another_host(path, time.time() + LEASE)
    with pytest.raises(ResultError, match=r"recorded by elsewhere .* ends in \d+ seconds"):
        Recorder(path, mode="a")
    another_host(path, time.time() - 1)
    with Recorder(path, mode="a") as new:
        new.log(0, {"a": np.zeros((2, 3))})
        with pytest.raises(ResultError, match="taken over by another recorder"):
            old.flush()
    with pytest.raises(ResultError, match="taken over by another recorder"):
        old.close()
    np.testing.assert_array_equal(open_log(path)["a"], np.zeros((2, 3)))


def test_a_lease_is_renewed(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        another_host(tmp_path / "log", time.time() + 1)
        rec._claim.renew()
        assert foreign(tmp_path / "log")[1].until > time.time() + LEASE / 2


@pytest.mark.parametrize("use", ["log", "flush"])
def test_a_forked_child_is_refused(tmp_path, use):
    with Recorder(tmp_path / "log") as rec:
        rec.log(0, {"a": np.ones((2, 3))})
        reading, writing = os.pipe()
        if not (child := os.fork()):
            try:
                rec.log(1, {"a": np.ones((2, 3))}) if use == "log" else rec.flush()
            except ResultError as error:
                os.write(writing, str(error).encode())
            finally:
                rec.close()  # leaves the parent's rows and lease alone
                os._exit(0)
        os.waitpid(child, 0)
        message = os.read(reading, 1000).decode()
        assert f"process {child} is its fork" in message
        assert "rank=" in message
        rec.log(1, {"a": np.ones((2, 3))})
    assert open_log(tmp_path / "log")["a"].shape == (4, 3)


def test_it_cannot_be_sent_to_another_process(tmp_path):
    with Recorder(tmp_path / "log") as rec, pytest.raises(ResultError, match="belongs to its process"):
        pickle.dumps(rec)


def test_threads_lose_no_row(tmp_path):
    with Recorder(tmp_path / "log", chunk_bytes=300) as rec:

        def write(number: int) -> None:
            for step in range(50):
                rec.log(step, {"a": np.full((3, 4), number)})

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counts = np.unique(open_log(tmp_path / "log")["a"].values, return_counts=True)[1]
    assert counts.tolist() == [600] * 4


@pytest.mark.parametrize("removed", [".", "fc1", "fc1/a", "fc1/sample_step"])
@pytest.mark.parametrize("use", ["flush", "close", "log"])
def test_a_folder_removed_while_recording_is_noticed(tmp_path, removed, use):
    rec = Recorder(tmp_path / "log", chunk_bytes=100)
    for step in range(20):
        rec.log(step, {"fc1/a": np.ones((1, 3))})
    shutil.rmtree(tmp_path / "log" / removed)
    rec._claim._looked -= 10  # as if some time had passed

    def go_on():
        for step in range(20, 40):
            rec.log(step, {"fc1/a": np.ones((1, 3))})
            if use != "log":
                getattr(rec, use)()

    with pytest.raises(ResultError, match="was removed while it was recorded"):
        go_on()


def test_all_arrays_that_grow_together_are_looked_for_at_once(tmp_path, monkeypatch):
    asked, own = [], Folder.holds
    monkeypatch.setattr(Folder, "holds", lambda self, *names: asked.append(names) or own(self, *names))
    with Recorder(tmp_path / "log") as rec:
        for step in range(3):
            rec.log(step, {"fc1/a": np.ones((1, 3))})
            rec.flush()
    assert asked == [(), *[("fc1/sample_step/zarr.json", "fc1/a/zarr.json")] * 2]


def test_a_folder_removed_after_the_last_flush_is_noticed_at_closing(tmp_path):
    rec = Recorder(tmp_path / "log")
    rec.log(0, {"fc1/a": np.ones((1, 3))})
    rec.flush()
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(ResultError, match="was removed while it was recorded"):
        rec.close()
    assert not leases(tmp_path / "log")


def test_steps_are_counted_once(tmp_path):
    path = tmp_path / "log"
    with Recorder(path, chunk_bytes=200) as rec:
        for step in range(10):
            rec.log(step, {"fc1/a": np.full((2, 3), step), "fc1/gradient": np.full(3, step)}, epoch=0)
    with Recorder(path, mode="a") as rec:
        for step in (4, 9):
            with pytest.raises(DataError, match=rf"step {step} of fc1/a is in the log already.*from_step={step}"):
                rec.log(step, {"fc1/a": np.ones((2, 3), int)}, epoch=0)
        rec.log(10, {"fc1/a": np.full((2, 3), 10), "fc1/gradient": np.full(3, 10)}, epoch=0)
        rec.log(10, {"fc1/a": np.full((2, 3), 10), "fc1/gradient": np.full(3, 10)}, epoch=0)  # this run's own affair
    with Recorder(path, mode="a", from_step=4) as rec:
        for step in range(4, 7):
            rec.log(step, {"fc1/a": np.full((2, 3), -step), "fc1/gradient": np.full(3, -step)}, epoch=1)
    fc1 = open_log(path)["fc1"].ds
    np.testing.assert_array_equal(fc1["sample_step"], np.repeat(range(7), 2))
    np.testing.assert_array_equal(fc1["gradient"][:, 0], [0, 1, 2, 3, -4, -5, -6])
    np.testing.assert_array_equal(fc1["a"][:, 0], np.repeat([0, 1, 2, 3, -4, -5, -6], 2))
    with pytest.raises(DataError, match="from_step=2 forgets rows"):
        Recorder(tmp_path / "new", from_step=2)


def test_rows_are_written_when_the_program_ends_without_closing(tmp_path):
    code = """
import sys, numpy as np, covdist
rec = covdist.Recorder(sys.argv[1])
rec.log(0, {"a": np.ones((2, 3))})
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "log"], check=True)
    assert open_log(tmp_path / "log")["a"].shape == (2, 3)
    assert not leases(tmp_path / "log")


def test_logs_of_earlier_versions_go_on(tmp_path):
    """Their chunks are filled with zeros and not compressed."""
    data = np.arange(12, dtype="f4").reshape(4, 3)
    old_column(tmp_path / "log", "fc1/a", ["sample", "unit"], data, {})
    old_column(tmp_path / "log", "fc1/sample_step", ["sample"], np.array([0, 0, 1, 1]), {"covdist_marks": "step"})
    for folder in ("", "fc1/"):
        group = {"zarr_format": 3, "node_type": "group", "attributes": {} if folder else {"covdist": 1}}
        (tmp_path / "log" / f"{folder}zarr.json").write_text(json.dumps(group))
    with Recorder(tmp_path / "log", mode="a") as rec:
        rec.log(2, {"fc1/a": data + 12})
    np.testing.assert_array_equal(open_log(tmp_path / "log")["fc1/a"], np.arange(24).reshape(8, 3))


def old_column(root: Path, path: str, dims: list[str], data: np.ndarray, attributes: dict[str, str]) -> None:
    import google_crc32c

    padded = np.zeros((6, *data.shape[1:]), data.dtype)
    padded[: len(data)] = data
    (root / path).mkdir(parents=True)
    crc = google_crc32c.value(padded.tobytes()).to_bytes(4, "little")
    (root / path / ".".join(["c", "0", *("0" for _ in data.shape[1:])])).write_bytes(padded.tobytes() + crc)
    metadata = {
        "zarr_format": 3, "node_type": "array", "shape": data.shape, "data_type": data.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": padded.shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}, "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "dimension_names": dims, "attributes": attributes, "storage_transformers": [],
    }  # fmt: skip
    (root / path / "zarr.json").write_text(json.dumps(metadata))
