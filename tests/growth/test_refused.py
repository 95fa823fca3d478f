"""What ``covdist.update`` refuses, in one sentence and before it reads new rows; the old result stays."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import DataError, LogError, NonFiniteError, ResultError

from .logs import STEPS, VALUES, fold, record

OLD = 35


@pytest.fixture
def log(tmp_path):
    return record(tmp_path / "log.zarr", 0, OLD)


@pytest.fixture
def result(log, tmp_path):
    fold(log, tmp_path / "r.zarr")
    return tmp_path / "r.zarr"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(log, result, match, error=ResultError):
    before = content(result)
    with pytest.raises(error, match=match) as caught:
        covdist.update(log, result)
    assert "\n" not in str(caught.value)
    assert content(result) == before
    assert not [each for each in result.parent.iterdir() if each.name.startswith(f".{result.name}")]


@pytest.mark.parametrize("row", [3, 100], ids=["in a full chunk", "in the last one"])
def test_old_rows_that_changed(log, result, row):
    zarr.open_group(log)["fc1/activation"][row, 2] = 9
    record(log, OLD, STEPS)
    refused(log, result, "rows of fc1/activation have changed since .* was made of them, files that hold them were")


def test_labels_that_changed(log, tmp_path):
    fold(log, tmp_path / "by.zarr", by="epoch")
    record(log, OLD, STEPS)
    zarr.open_group(log)["fc1/sample_epoch"][4] = 7
    refused(log, tmp_path / "by.zarr", "what they are grouped by has other values")


def test_attributes_that_changed(log, result):
    record(log, OLD, STEPS)
    zarr.open_group(log)["fc1/input"].attrs["scale_factor"] = 2.0
    refused(log, result, "fc1/input .* the attributes by which they are decoded are others")


def test_a_log_that_shrank(log, result):
    with covdist.Recorder(log, mode="a", from_step=30):
        pass
    refused(log, result, "their number of rows was 105 and is 90")


def test_a_log_that_went_back_and_on_again(log, result):
    with covdist.Recorder(log, mode="a", from_step=30) as rec:
        for step in range(30, STEPS):
            rec.log(step, {"fc1/activation": VALUES[step] + 1, "fc1/input": VALUES[step]}, epoch=step // 8)
    refused(log, result, "the array was begun anew")


def test_a_wider_dtype(tmp_path):
    log = record(tmp_path / "half.zarr", 0, 4, values=VALUES.astype("f4"))
    fold(log, tmp_path / "h.zarr")
    record(log, 4, 8)
    refused(log, tmp_path / "h.zarr", "their dtype was float32 and is float64")


def test_another_log(tmp_path, result):
    refused(record(tmp_path / "other.zarr", 0, STEPS, values=VALUES + 1), result, "rows of .* have changed since")
    zarr.save(str(tmp_path / "third.zarr"), VALUES)
    refused(tmp_path / "third.zarr", result, "fc1/activation, fc1/input, which the log no longer has or never had")


def test_a_log_that_is_not_there(tmp_path, result):
    refused(tmp_path / "none.zarr", result, "none.zarr", LogError)


def test_results_of_something_else(tmp_path, log):
    covdist.moments(VALUES[:, 0]).save(tmp_path / "m.zarr")
    refused(log, tmp_path / "m.zarr", "does not say which rows of a log it holds")
    refused(log, record(tmp_path / "l.zarr", 0, 1) and tmp_path / "l.zarr", "not a covdist result")
    with pytest.raises(ResultError, match="does not exist: make it first"):
        covdist.update(log, tmp_path / "none.zarr")
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "manifest.json").write_text("{}")
    refused(log, tmp_path / "job", "pass the result .* or a copy of its result.zarr")
    with pytest.raises(DataError, match="result is Moments, expected the path"):
        covdist.update(log, covdist.moments(VALUES[:, 0]))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"missing": "maxent"}, "missing='maxent' looks at old rows again"),
        ({"missing": "interpolate"}, "missing='interpolate' looks at old rows again"),
        ({"blocks": 5}, "blocks=5 are equal parts of all rows"),
        ({"by": "bins(step, 3)"}, "bins by their number depend on all rows"),
        ({"by": np.arange(3 * OLD) % 3, "var": "activation"}, "by was one value for each row"),
        ({"dim": "unit"}, "it has grown along 'sample', which is not a sample dim"),
        ({"max_columns": 1, "beyond": "tiles"}, "a matrix in tiles does not add up"),
    ],
    ids=str,
)
def test_states_that_cannot_go_on(log, tmp_path, options, why):
    fold(log, tmp_path / "o.zarr", layer="fc1", **options)
    record(log, OLD, STEPS)
    refused(log, tmp_path / "o.zarr", f"fc1/(activation|input) has new rows, but {why}")


def test_the_order_of_rows_where_ranks_grow(tmp_path):
    log = record(tmp_path / "ranks.zarr", 0, 4, rank=0)
    record(log, 0, 4, rank=1)
    fold(log, tmp_path / "o.zarr", state="serial", layer="fc1")
    record(log, 4, 8, rank=0)
    refused(log, tmp_path / "o.zarr", "needs the order of the rows, and some of the new ones come before others")


def test_new_rows_that_cannot_be_folded(log, result):
    record(log, OLD, STEPS, values=np.where(VALUES > 3, np.nan, VALUES))
    refused(log, result, "NaN", NonFiniteError)


def test_a_result_that_cannot_be_written(log, result, monkeypatch):
    record(log, OLD, STEPS)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("covdist.results.store.exchange", full)
    refused(log, result, rf"{result} cannot be written \(no space .*\): it is as it was")
