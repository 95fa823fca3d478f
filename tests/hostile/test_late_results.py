"""What a result on disk is damaged in after it was opened, or where nothing looks until it is read: one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import covdist
from covdist.cli import main
from covdist.errors import ResultError
from covdist.storage.checksum import checksummed, from_json, verified

X = np.random.default_rng(0).normal(size=(12, 3))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tiles") / "m"
    covdist.moments(X, matrix="tiles").save(place)
    return place


@pytest.fixture
def stored(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "m"))


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def other_metadata(file: Path) -> None:
    place = next(each for each in file.parents if (each / "zarr.json").exists()) / "zarr.json"
    said = json.loads(place.read_text())
    said["shape"] = [said["shape"][0], 99]
    place.write_text(json.dumps(said))


FAULTS: dict[str, Callable[[Path], Any]] = {
    "flipped": flipped,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + bytes(8)),
    "empty": lambda file: file.write_bytes(b""),
    "missing": Path.unlink,
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "no result": lambda file: shutil.rmtree(next(each for each in file.parents if each.name == "m")),
}
READS: dict[str, Callable[[covdist.Moments], Any]] = {
    "cov": lambda m: m.cov().compute(),
    "a part": lambda m: m.cov()[1:, :1].compute(),
    "corr": lambda m: m.corr().compute(),
}
FILES = ["scatter/c/0/1", "exponents/c/0/0"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("fault", "read"), [*((fault, "cov") for fault in FAULTS), ("cut", "a part"), ("cut", "corr")])
def test_what_is_read_late_is_whole_or_refused(fault: str, read: str, file: str, stored: Path) -> None:
    opened = covdist.load(stored)
    FAULTS[fault](stored / file)
    with pytest.raises(ResultError, match=r"m is damaged .*: restore it from a copy, or remove it and make") as error:
        READS[read](opened)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("edge", [10**30, -1])
def test_bands_beyond_the_columns_are_refused_at_once(edge: int, stored: Path) -> None:
    said = json.loads((stored / "zarr.json").read_text())
    said["attributes"]["tiles"]["bands"][0][1] = edge
    (stored / "zarr.json").write_text(json.dumps(said))
    with pytest.raises(ResultError, match=r"m is damaged .*do not lie within 3 columns"):
        covdist.load(stored)


@pytest.mark.parametrize("file", FILES)
def test_metadata_that_changed_since(file: str, stored: Path) -> None:
    opened = covdist.load(stored)
    other_metadata(stored / file)
    with pytest.raises(ResultError, match=r"m is damaged .*99.*expected"):
        opened.cov()


def test_nor_from_an_array_that_is_asked_for_before(stored: Path) -> None:
    cov = covdist.load(stored).cov()
    flipped(stored / FILES[0])
    for read in (cov.compute, lambda: cov.to_dataset().to_zarr(stored.parent / "cov", consolidated=False)):
        with pytest.raises(ResultError, match=r"m is damaged"):
            read()


@pytest.mark.parametrize(("file", "said"), [(FILES[0], "scatter lacks 1 of"), (FILES[1], "exponents lacks 1 of")])
def test_what_is_not_there_is_missed_at_once(file: str, said: str, stored: Path) -> None:
    (stored / file).unlink()
    with pytest.raises(ResultError, match=f"m is damaged .*{said}"):
        covdist.load(stored)


def test_exponents_of_results_of_before_that_are_all_0_are_not_missed(stored: Path) -> None:
    place = stored / "exponents" / "zarr.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"fill_value": 0}))
    (stored / FILES[1]).unlink()
    np.testing.assert_allclose(covdist.load(stored).cov(), np.cov(X.T, ddof=0))


def test_tiles_of_nothing_but_nan_are_not_missed(tmp_path: Path) -> None:
    x = X * [1, np.nan, np.nan]
    covdist.moments(x, matrix="tiles", missing="propagate").save(tmp_path / "m")
    found = covdist.load(tmp_path / "m").cov()
    np.testing.assert_array_equal(found, covdist.cov(x, missing="propagate", matrix="tiles"))
    assert int(np.isnan(found).sum()) == 8


@pytest.mark.parametrize("fault", ["flipped", "cut"])
def test_commands_say_so(fault: str, stored: Path) -> None:
    FAULTS[fault](stored / FILES[0])
    with pytest.raises(ResultError, match=r"m is damaged .*checksum"):
        main(["--debug", "read", str(stored), "cov"], standalone_mode=False)


# ---- JSON

DEEP = b"[" * 100_000
ODD = {"deep": DEEP + b"]" * 100_000, "deep in a mapping": b'{"crc32c":' * 100_000, "cut": DEEP, "a list": b"[1]"}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_json_nested_deeply_is_no_content(text: bytes) -> None:
    assert from_json(text) is None


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_nor_is_a_description_with_the_right_checksum(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda *_, **__: text.decode())
    data = checksummed({}, b"body")
    monkeypatch.undo()
    assert verified(data) is None


@pytest.mark.parametrize("text", [*ODD.values(), b'{"steps": Infinity}', b'{"steps": [1]}', b'{"steps": {}}', b"\xff"])
def test_a_folder_of_windows_whose_mark_is_something_else_is_no_result(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_bytes(text)
    with pytest.raises(ResultError, match="is not a covdist result"):
        covdist.load(tmp_path)


def test_nor_is_a_root_that_is_nested_deeply(tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_bytes(b'{"attributes":' + ODD["deep"] + b"}")
    with pytest.raises(ResultError, match="is not a covdist result"):
        covdist.load(tmp_path)
