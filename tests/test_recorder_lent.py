"""Rows that are lent to a recorder are read later, by its thread, and are those that were lent."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.record.chunks import Loose
from covdist.record.lent import Lent, copy_all
from covdist.record.newest import Newest
from covdist.record.writer import Writer
from covdist.storage.pages import FAILED, Pages
from covdist.storage.place import Folder, place_at


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    order=st.randoms(use_true_random=False),
    cuts=st.tuples(st.integers(0, 200), st.integers(0, 200)),
)
def test_rows_are_those_of_numpy(shape, order, cuts):
    axes = list(range(len(shape)))
    order.shuffle(axes)
    array = np.arange(np.prod(shape), dtype="f4").reshape(np.array(shape)[axes]).transpose(np.argsort(axes))
    assert array.shape == tuple(shape)
    lent, rows = Lent(array), array.reshape(-1, shape[-1])
    assert (lent.shape, lent.dtype, lent.nbytes, len(lent), lent.ndim) == (
        rows.shape,
        rows.dtype,
        rows.nbytes,
        len(rows),
        2,
    )
    assert np.array_equal(lent, rows)
    part = lent[cuts[0] : cuts[1]]
    assert np.array_equal(part, rows[cuts[0] : cuts[1]]), cuts
    assert np.array_equal(part[1:3], rows[cuts[0] : cuts[1]][1:3])
    assert np.array_equal(lent.reshape((1, rows.size)), rows.reshape(1, -1))
    assert np.asarray(lent, "f8").dtype == "f8"


def batches(steps):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((7, 11, 13, 17)).astype("f4").transpose(0, 2, 3, 1) for _ in range(steps)]


@pytest.mark.parametrize(
    "options", [{}, {"chunk": 777, "shard": 3}, {"memory": "1MiB"}, {"dtype": "float16"}, {"units": 5}, {"chunk": 1001}]
)
def test_a_log_is_that_of_rows_that_are_copied(tmp_path, options):
    found = []
    for kind in (Lent, lambda array: array.reshape(-1, array.shape[-1])):
        path = tmp_path / str(len(found))
        with covdist.Recorder(path, **options) as rec:
            for step, array in enumerate(batches(9)):
                rec.log(step, {"a/activation": kind(array), "a/gradient": kind(array[:1].reshape(1, -1)[None])})
                if step == 4:
                    rec.flush()
        log = covdist.open_log(path)
        found.append([log[f"a/{name}"].values for name in ("activation", "gradient", "sample_step", "step")])
    for lent, copied in zip(*found, strict=True):
        assert np.array_equal(lent, copied)


def test_rows_are_kept_until_they_are_copied_and_no_longer(tmp_path, monkeypatch):
    gate, copied = threading.Event(), []

    def slow(rows):
        assert gate.wait(200)
        copied.append(threading.current_thread().name)
        copy_all(rows)

    with covdist.Recorder(tmp_path / "log") as rec:
        arrays = batches(4)
        rec.log(0, {"a/activation": Lent(arrays[0])})
        monkeypatch.setattr("covdist.record.writer.copy_all", slow)
        lent = Lent(arrays[1])
        held = weakref.ref(lent)
        rec.log(1, {"a/activation": lent})
        del lent
        rec.log(2, {"a/activation": arrays[2].reshape(-1, arrays[2].shape[-1])})
        assert held() is not None
        assert copied == []
        gate.set()
        rec.flush()
        gc.collect()
        assert held() is None
        assert copied == ["covdist-writer"]
    rows = covdist.open_log(tmp_path / "log")["a/activation"]
    assert np.array_equal(rows, np.concatenate([each.reshape(-1, 11) for each in arrays[:3]]))


def test_the_thread_begins_when_it_is_told(tmp_path, monkeypatch):
    begun, arrays = threading.Event(), batches(8)

    def told(rows):
        begun.set()
        copy_all(rows)

    monkeypatch.setattr("covdist.record.writer.copy_all", told)

    def log(step):
        begun.clear()
        rec.log(step, {"a/activation": Lent(arrays[step])})

    with covdist.Recorder(tmp_path / "log") as rec:
        log(0)  # makes the columns
        rec.defer(1000)
        log(1)
        assert not begun.wait(0.1)
        rec.begin()
        assert begun.wait(200)
        log(2)
        rec.flush()  # which waits for no one
        assert begun.is_set()
        rec.defer(0.01)
        log(3)
        assert begun.wait(200)
        rec.defer(1000)
        log(4)
        rec.begin(0.01)
        assert begun.wait(200)
        log(5)
        rec.defer(0)
        assert begun.wait(200)
        log(6)
        assert begun.wait(200)
        rec.defer(1000)
        log(7)
    rows = covdist.open_log(tmp_path / "log")["a/activation"]
    assert np.array_equal(rows, np.concatenate([each.reshape(-1, 11) for each in arrays]))


def test_a_thread_that_has_ended_is_not_told_to_begin(tmp_path):
    with covdist.Recorder(tmp_path / "log") as rec:
        rec.log(0, {"a/activation": np.ones((3, 2))})
    while not rec._writer._woken.empty():
        rec._writer._woken.get()
    rec.begin()
    assert rec._writer._woken.empty()


def test_a_thread_that_was_told_to_wait_begins_where_there_is_no_room(tmp_path):
    rows = np.random.default_rng(0).standard_normal((40, 64, 512), dtype=np.float32)
    with covdist.Recorder(tmp_path / "log", memory="1MiB") as rec:
        rec.defer(1000)
        for step, array in enumerate(rows):
            rec.log(step, {"a/activation": Lent(array)})
    assert np.array_equal(covdist.open_log(tmp_path / "log")["a/activation"], rows.reshape(-1, 512))


def test_what_waits_to_be_copied_is_bounded(monkeypatch):
    gate, done, chunk = threading.Event(), [], Loose(np.empty((1, 10**6), np.uint8))
    several = [Lent(np.empty((1, nbytes), np.uint8)) for nbytes in (900, 900, 900, 10**6)]
    monkeypatch.setattr(
        "covdist.record.writer.copy_all", lambda rows: done.append(gate.wait(200) and [each for each, _ in rows])
    )
    writer = Writer("log", 1000, lambda: None)
    for rows in several[:2]:
        writer.borrow(rows, chunk, 0)
        writer.go()
    third = threading.Thread(target=lambda: (writer.borrow(several[2], chunk, 0), writer.go()))
    third.start()
    third.join(0.2)
    assert third.is_alive()
    gate.set()
    third.join(200)
    assert not third.is_alive()
    writer.borrow(several[3], chunk, 0)  # more than there is room for goes by itself
    writer.submit(lambda: done.append(4), 0)
    writer.end()
    assert done == [*([rows] for rows in several), 4]


def test_chunks_that_many_others_have_followed_are_let_go(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(Folder, "let_go", lambda self, *place: asked.append(place))
    monkeypatch.setattr("covdist.record.newest._KEPT", 100)
    newest = Newest()
    for number in range(4):
        newest.add(Folder("/log"), str(number), 0, 40)
    assert asked == [("0", 0, 40), ("1", 0, 40), ("2", 0, 40), ("0", 0, 40), ("3", 0, 40), ("1", 0, 40)]


@pytest.mark.parametrize("shard", [None, 2])
def test_large_chunks_are_let_go_and_hold_their_rows(tmp_path, monkeypatch, shard):
    asked, let_go = [], Folder.let_go
    monkeypatch.setattr(Folder, "let_go", lambda self, *place: asked.append(place) or let_go(self, *place))
    monkeypatch.setattr("covdist.record.newest._KEPT", 1)
    monkeypatch.setattr("covdist.storage.place.write_at_once", lambda *_: FAILED)  # as where the system cannot
    monkeypatch.setattr(Pages, "_written_past", lambda *_: False)
    rows = np.random.default_rng(0).standard_normal((9, 300_000)).astype("f4")
    with covdist.Recorder(tmp_path / "log", chunk=2, shard=shard) as rec:
        for step, row in enumerate(rows):
            rec.log(step, {"a/activation": row[None]})
    assert np.array_equal(covdist.open_log(tmp_path / "log")["a/activation"], rows)
    names = {name for name, _, _ in asked}
    assert names == {f"a/activation/c.{number}.0" for number in range(3 if shard else 5)}
    assert all(size >= 1 << 20 for _, _, size in asked)
    assert any(offset for _, offset, _ in asked) == (shard is not None)


def test_what_is_gone_cannot_be_let_go(tmp_path):
    place_at(tmp_path, durable=False).let_go("nothing", 0, 10)


def test_no_rows_where_the_end_is_before_the_beginning():
    assert Lent(np.ones((3, 2)))[2:1].shape == (0, 2)
