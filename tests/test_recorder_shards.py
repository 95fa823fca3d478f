"""Logs of few files: shards hold the chunks, bits and order of a log without, at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, LogError
from covdist.logs.opening import open_log
from covdist.record.recorder import Recorder
from covdist.storage.place import Folder
from tests.child import child

RNG = np.random.default_rng(0)


def files(path: object) -> list[str]:
    return [name for _, _, names in os.walk(path) for name in names if name != "zarr.json"]


@pytest.mark.parametrize("dtype", ["f4", "U3", "?", "f8"])
@pytest.mark.parametrize("noise", [True, False])
def test_a_sharded_log_gives_the_bits_of_one_without(tmp_path, dtype, noise):
    data = (RNG.normal(size=(400, 3, 20)) * (noise or RNG.random((400, 3, 20)) > 0.9)).astype("f4")
    labels = RNG.integers(0, 2, (400, 3)).astype(dtype)
    for name, shard in (("plain", None), ("shards", 7)):
        for mode, steps in (("x", range(123)), ("a", range(123, 400))):
            with Recorder(tmp_path / name, mode=mode, chunk=20, shard=shard, memory="64KiB") as rec:
                for step in steps:
                    rec.log(
                        step, {"n/a": data[step], "n/gradient": data[step], "n/label": labels[step]}, epoch=step // 9
                    )
    plain, shards = open_log(tmp_path / "plain"), open_log(tmp_path / "shards")
    for name in ("a", "gradient", "label", "sample_step", "step", "epoch"):
        np.testing.assert_array_equal(shards[f"n/{name}"], plain[f"n/{name}"])
        assert shards[f"n/{name}"].chunks == plain[f"n/{name}"].chunks
        assert zarr.open_array(str(tmp_path / "shards/n" / name))[:].tolist() == plain[f"n/{name}"].values.tolist()
    for dim, name in (("sample", "a"), ("step", "gradient")):
        found = [covdist.cov(log[f"n/{name}"], dim=dim).values for log in (plain, shards)]
        assert found[0].tobytes() == found[1].tobytes()
    assert len(files(tmp_path / "shards")) * 3 < len(files(tmp_path / "plain"))


@settings(deadline=None, max_examples=40)
@given(
    calls=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "open", "cut"])), min_size=1, max_size=25),
    chunk=st.integers(1, 4), shard=st.integers(1, 4),
)  # fmt: skip
def test_any_sequence_of_calls_gives_back_the_rows(calls, chunk, shard):
    rows: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as folder:
        options = {"chunk": chunk, "shard": shard}
        rec = Recorder(f"{folder}/log", **options)
        for step, (count, then) in enumerate(calls):
            rows.append(RNG.normal(size=(count, 3)) * (step % 2))
            rec.log(step, {"n/a": rows[-1]})
            if then == "flush":
                rec.flush()
            elif then:
                rec.close()
                rec = Recorder(f"{folder}/log", mode="a", from_step=step if then == "cut" else None, **options)
                if then == "cut":
                    rows.pop()
                    rows.append(np.zeros((0, 3)))
            rec.flush()
            if sum(map(len, rows)):
                np.testing.assert_array_equal(open_log(f"{folder}/log")["n/a"], np.concatenate(rows))
        rec.close()


@pytest.mark.parametrize("flushed", [1, 3, 1000])
def test_a_sharded_log_takes_the_room_of_its_data(tmp_path, flushed):
    data = RNG.normal(size=(640, 5000)).astype("f4")
    with Recorder(tmp_path / "log", chunk=10, shard=64) as rec:
        for step in range(640):
            rec.log(step, {"n/gradient": data[step]})
            if step % flushed == 0:
                rec.flush()
    size = sum(file.stat().st_size for file in (tmp_path / "log").rglob("*") if file.is_file())
    assert size < 1.05 * data.nbytes
    np.testing.assert_array_equal(open_log(tmp_path / "log")["n/gradient"], data)


def test_a_wider_dtype_and_a_dim_of_its_own(tmp_path):
    with Recorder(tmp_path / "log", chunk=2, shard=3) as rec:
        for step in range(20):
            arrays = {"n/a": np.full((2, 3), step, "f2" if step < 15 else "f4")}
            rec.log(step, {**arrays, "n/b": np.full((2, 3), step)} if step % 5 == 0 else arrays)
    log = open_log(tmp_path / "log")
    np.testing.assert_array_equal(log["n/a"][:, 0], np.repeat(np.arange(20), 2))
    np.testing.assert_array_equal(log["n/b"][:, 0], np.repeat([0, 5, 10, 15], 2))
    np.testing.assert_array_equal(log["n/b_sample_step"], np.repeat([0, 5, 10, 15], 2))


def record(rec: Recorder) -> None:
    for step in range(1000):
        rec.log(step, {"n/a": np.full((3, 2), step), "loss": step})


class CrashError(Exception):
    pass


@pytest.mark.parametrize("amount", range(1, 90, 4))
def test_a_crash_at_any_write_leaves_whole_steps(tmp_path, monkeypatch, amount):
    left = [amount]

    def counted(real):
        def write(self, *args):
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            return real(self, *args)

        return write

    for name in ("put", "add", "swap", "write_at"):
        monkeypatch.setattr(Folder, name, counted(getattr(Folder, name)))
    rec = Recorder(tmp_path / "log", chunk=4, shard=3)
    with pytest.raises(CrashError):
        record(rec)
    left[0] = -1
    with Recorder(tmp_path / "log", mode="a", chunk=4, shard=3) as rec:
        rec.log(1000, {"n/a": np.full((3, 2), 1000)})
    found = open_log(tmp_path / "log")["n/a"].values[:, 0].tolist()
    steps = len(found) - 3
    assert found == [row // 3 for row in range(steps)] + [1000] * 3


KILLED = """
import sys, time, numpy as np, covdist
rec = covdist.Recorder(sys.argv[1], mode=sys.argv[2], chunk=4, shard=5)
for step in range(first := int(sys.argv[3]), 10**9):
    rec.log(step, {"n/a": np.full((3, 4), step, "f4"), "loss": float(step)}, epoch=step // 10)
    if step % 7 == 0:
        rec.flush()
    if step == first + 50:
        print("ready", flush=True)
    time.sleep(0.001)  # or the log grows faster than it is read
"""


def test_killed_while_others_read(tmp_path):
    path, last = str(tmp_path / "log"), 0
    for mode, first in (("x", 0), ("a", 10**6)):
        command = [sys.executable, "-c", KILLED, path, mode, str(first)]
        with child(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            for _ in range(10):
                rows = open_log(path)["n/a"].values
                assert (rows == rows[:, :1]).all()
            process.kill()
        rows = open_log(path)["n/a"].values
        assert len(rows) > last
        assert (rows == rows[:, :1]).all()
        last = len(rows)


def test_damage_is_found(tmp_path):
    with Recorder(tmp_path / "log", chunk=4, shard=5) as rec:
        for step in range(40):
            rec.log(step, {"a": RNG.normal(size=(1, 30))})
    for at in (5, 90, 2000):
        file = tmp_path / "log/a/c.0.0"
        whole = file.read_bytes()
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(LogError, match="damaged"):
            open_log(tmp_path / "log")["a"].values  # noqa: B018
        file.write_bytes(whole)


@pytest.mark.parametrize("shard", [0, 256, "2", 1.5])
def test_wrong_numbers_are_refused(tmp_path, shard):
    with pytest.raises(DataError, match="shard must be a whole number from 1 to 255"):
        Recorder(tmp_path / "log", shard=shard)


def test_behind_a_url_each_chunk_is_an_object():
    with Recorder("memory://test-shards", chunk=2, shard=3) as rec:
        for step in range(9):
            rec.log(step, {"a": np.full((1, 2), step)})
    np.testing.assert_array_equal(open_log("memory://test-shards")["a"][:, 0], range(9))
