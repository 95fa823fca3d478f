"""Links in a log: refused by default, followed when asked, never round and round; names that people see."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from covdist.errors import LogError, shown
from covdist.logs.opening import open_log
from tests.hostile.case import VALUES, v2, v3
from tests.hostile.links import SECRET
from tests.jobs.clusters import called


@pytest.fixture(params=["chunk-v3", "chunk-v2", "folder", "metadata", "npy", "npy-folder"])
def linked(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A log whose only array is behind a link."""
    log, there = tmp_path / "log", tmp_path / "there"
    log.mkdir()
    there.mkdir()
    if request.param == "chunk-v3":
        v3(log / "x", {})
        (log / "x" / "c" / "0").mkdir(parents=True)
        (there / "chunk").write_bytes(SECRET.tobytes())
        (log / "x" / "c" / "0" / "0").symlink_to(there / "chunk")
    elif request.param == "chunk-v2":
        v2(log / "x", {})
        (there / "chunk").write_bytes(SECRET.tobytes())
        (log / "x" / "0.0").symlink_to(there / "chunk")
    elif request.param == "folder":
        v3(there / "x", {"c/0/0": SECRET.tobytes()})
        (log / "x").symlink_to(there / "x")
    elif request.param == "metadata":
        v3(log / "x", {"c/0/0": SECRET.tobytes()})
        (log / "x" / "zarr.json").rename(there / "zarr.json")
        (log / "x" / "zarr.json").symlink_to(there / "zarr.json")
    else:
        np.save(there / "x.npy", SECRET)
        name = "x.npy" if request.param == "npy" else "."
        (log / ("x.npy" if request.param == "npy" else "below")).symlink_to(there / name)
    if "npy" not in request.param:
        (log / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    return log


def test_links_are_followed_when_asked_only(linked: Path) -> None:
    with pytest.raises(LogError, match=r"is a link, .* follow_links=True \(--follow-links\)"):
        open_log(linked).compute()
    (array,) = (each for node in open_log(linked, follow_links=True).subtree for each in node.data_vars.values())
    np.testing.assert_array_equal(array, SECRET)


def test_the_path_itself_may_be_a_link(tmp_path: Path) -> None:
    v3(tmp_path / "log")
    np.save(tmp_path / "x.npy", VALUES)
    for name in ("log", "x.npy"):
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)
        (array,) = open_log(tmp_path / f"to-{name}").data_vars.values()
        np.testing.assert_array_equal(array, VALUES)


def test_a_link_to_the_folder_it_lies_in_is_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VALUES)
    (tmp_path / "again").symlink_to(".")
    assert [node.path for node in open_log(tmp_path, follow_links=True).subtree] == ["/"]


def test_the_command_line_follows_links_when_asked(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    np.save(tmp_path / "x.npy", VALUES)
    (tmp_path / "log" / "x.npy").symlink_to(tmp_path / "x.npy")
    assert "--follow-links" in called("plan", tmp_path / "log", code=1)
    assert "200" in called("plan", tmp_path / "log", "--follow-links")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": "' + "x" * (40 << 20) + '"}', "[]"], ids=["deep", "large", "list"]
)
def test_metadata_behind_urls(text: str) -> None:
    fsspec.filesystem("memory").pipe_file("/test-hostile/zarr.json", text.encode())
    with pytest.raises(LogError, match=r"zarr.json (is not valid|has 3[0-9,]+ bytes)|where a mapping is expected"):
        open_log("memory://test-hostile")


def test_names_are_shown_as_they_can_be_read() -> None:
    assert shown("fc1/größe 好") == "fc1/größe 好"
    assert shown("a\x1b[31m\u202e\n") == "a\\x1b[31m\\u202e\\n"
    assert len(shown("x" * 10_000)) == 80
    assert str(LogError("x" * 10_000 + ": say what is wrong")).endswith("x: say what is wrong")
