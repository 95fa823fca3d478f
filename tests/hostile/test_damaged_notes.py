"""What a result remembers of its log, any part of it something else: one sentence, and the old result stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import covdist
from covdist.cli import main
from covdist.errors import CovdistError, ResultError

from .damage import OTHERS, changes


def record(log: Path, steps: range) -> None:
    with covdist.Recorder(log, mode="a" if log.exists() else "x") as rec:
        for step in steps:
            rec.log(step, {"fc/activation": np.random.default_rng(step).normal(size=(3, 2))})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log that has grown, and the result of the rows before."""
    place = tmp_path_factory.mktemp("notes")
    record(place / "log", range(4))
    main(["run", str(place / "log"), "-o", str(place / "result")], standalone_mode=False)
    record(place / "log", range(4, 8))
    return place


def notes(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "result" / "zarr.json").read_text())
    return found


def updated(made: Path, to: Path, said: Any) -> Any:
    """Update a copy of the result that has other notes."""
    shutil.copytree(made / "result", to)
    about = notes(made)
    about["attributes"]["made_from"] = said
    (to / "zarr.json").write_text(json.dumps(about))
    return covdist.update(made / "log", to)


DAMAGED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an option of another version": (lambda m: m["opening"].update(cache="x"), "opening holds cache, which this"),
    "an option that is no flag": (lambda m: m["opening"].update(follow_links=3), "opening.follow_links is 3"),
    "another question": (lambda m: m["asked"].update(window=3), "asked holds window, which this version"),
    "no array": (lambda m: m["arrays"].update({"fc": []}), "arrays.fc has 0 entries, expected 1 or 2"),
    "three arrays": (lambda m: m["arrays"].update({"fc": m["arrays"]["fc"] * 3}), "fc has 3 entries"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGED.values(), ids=DAMAGED)
def test_notes_that_are_damaged(damage: Callable[[Any], Any], said: str, made: Path, tmp_path: Path) -> None:
    about = notes(made)["attributes"]["made_from"]
    damage(about)
    with pytest.raises(ResultError, match=f"r is damaged .*{said}.*make it again"):
        updated(made, tmp_path / "r", about)


@pytest.mark.parametrize(
    ("option", "value"), {"halflife": 4, "precision": "fast", "inf": "missing", "missing": "pairwise"}.items()
)
def test_options_that_the_rows_were_not_folded_with(option: str, value: Any, made: Path, tmp_path: Path) -> None:
    about = notes(made)["attributes"]["made_from"]
    about["asked"][option] = value
    with pytest.raises(
        ResultError, match=rf"were folded with {option}=.* that {option}=.* was asked.*make a new result"
    ):
        updated(made, tmp_path / "r", about)


@pytest.mark.slow
def test_an_option_that_was_not_asked_for(made: Path, tmp_path: Path) -> None:
    right = covdist.update(made / "log", shutil.copytree(made / "result", tmp_path / "right"))
    for number, (option, value) in enumerate(product(("state", "blocks", "halflife", "each"), OTHERS)):
        about = notes(made)["attributes"]["made_from"]
        about["asked"][option] = value
        with suppress(CovdistError):
            found = updated(made, tmp_path / str(number), about)
            np.testing.assert_allclose(found.cov(), right.cov(), rtol=1e-12, err_msg=option)


@pytest.mark.slow
def test_any_part_of_the_notes_is_something_else(made: Path, tmp_path: Path) -> None:
    right = covdist.update(made / "log", shutil.copytree(made / "result", tmp_path / "right"))
    for number, (at, said) in enumerate(changes(notes(made)["attributes"]["made_from"])):
        with suppress(CovdistError):
            found = updated(made, tmp_path / str(number), said)
            np.testing.assert_allclose(found.cov(), right.cov(), rtol=1e-12, err_msg=str(at))
