"""One sentence for what a format does not hold and for files that are not what they should be; nothing is left."""

from __future__ import annotations

import errno
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist import plugins
from covdist.errors import CovdistError, DataError, ResultError

X = np.random.default_rng(0).normal(3, 1, (40, 3))
GOOD = {"mu": np.zeros(3), "sigma": np.eye(3)}


def said(error):
    text = str(error.value)
    assert "\n" not in text
    return text


# ---- what is to be written

GROUPED = covdist.moments(X, by=np.arange(40) % 2)
NAN = X * [np.nan, 1, 1]
OF_TINY, OF_NAN = covdist.moments(X * 1e-12, X), covdist.moments(NAN, X, missing="propagate")
NO_ROWS = covdist.moments(X * np.nan, missing="drop")
UNFIT = {
    "groups": ("fid", GROUPED, {}, r"full state of unit \(3\) by group \(2\).*--sel group=0"),
    "groups of imatrix": ("imatrix", GROUPED, {"name": "w"}, "groups by 'expert' from 0 on"),
    "no matrix": ("fid", covdist.moments(X, state="variances"), {}, "full"),
    "one row": ("fid", covdist.moments(X[:1]), {}, "ddof=1"),
    "no rows": ("mom2", NO_ROWS, {}, "add up to 0"),
    "weights": ("mom2", covdist.moments(X, weights=np.full(40, 0.3)), {}, "whole rows"),
    "no weight": ("fid", covdist.moments(X, weights=np.zeros(40)), {}, "weights of the rows add up to 0"),
    "no weight in npz": ("npz", covdist.moments(X, weights=np.zeros(40)), {}, "fold rows that have a weight"),
    "overflow": ("fid", covdist.moments(X * 1e200), {}, "covariance is inf at .*scale what overflows"),
    "NaN": ("fid", covdist.moments(X * [1, np.nan, 1], missing="propagate"), {}, "mean is nan at"),
    "option": ("fid", covdist.moments(X), {"bias": "*"}, "fid takes no options, found bias"),
    "another option": ("mom2", covdist.moments(X), {"size": 1}, "mom2 takes the options sample_size, found size"),
    "format": ("fidd", covdist.moments(X), {}, "format='fidd' is unknown: pass one of 'fadtk', 'fid', "),
    "array": ("fid", X, {}, "export writes moments, found a ndarray"),
    "tiny float32": ("imatrix", covdist.moments(X * 1e-30), {"name": "w"}, "float32 does not"),
    "huge float32": ("imatrix", covdist.moments(X * 1e30), {"name": "w"}, "float32 does not"),
    "no name": ("imatrix", covdist.moments(X), {}, "name='blk.0.attn_q.weight'"),
    "long name": ("imatrix", covdist.moments(X), {"name": "w" * 60}, "bytes that llama.cpp has"),
    "pairwise": ("imatrix", covdist.moments(np.where(X > 4, np.nan, X), missing="pairwise"), {"name": "w"}, "own"),
    "no m_x": ("leace", covdist.moments(X, X, state="cross"), {}, "needs the moments of x with z, and those of x"),
    "other m_x": ("leace", covdist.moments(X, X), {"m_x": covdist.moments(X[1:])}, "of the same x"),
    "other rows in m_x": ("leace", OF_TINY, {"m_x": covdist.moments(X[::-1] ** 2 * 1e-12)}, "of the same x"),
    "NaN in m_x": ("leace", OF_NAN, {"m_x": covdist.moments(NAN, missing="propagate")}, r"mean_x is nan at \(0\)"),
    "no z": ("leace", covdist.moments(X), {"m_x": covdist.moments(X)}, "needs the moments of x with z"),
    "no module": ("kronfluence", covdist.moments(X), {}, "fc1/gradient"),
    "no gradient": ("kronfluence", {"fc/input": covdist.moments(X)}, {}, "fc has no gradient"),
    "two inputs": ("kronfluence", dict.fromkeys(["fc/input", "fc/activation"], covdist.moments(X)), {}, "fc/input and"),
    **{f"x with y in {format}": (format, covdist.moments(X, X), {}, rf"both state of .*, where a {format} file holds")
       for format in ("fid", "fadtk", "mom2")},
    "x with y in kronfluence": (
        "kronfluence", dict.fromkeys(["fc/input", "fc/gradient"], covdist.moments(X, X)), {}, "fc/input: this is a",
    ),
    "layer": ("mom2", {"a": covdist.moments(X), "b": NO_ROWS}, {}, "^b: the weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_states(name, tmp_path):
    format, states, options, words = UNFIT[name]
    for package in {"imatrix": ["gguf"], "kronfluence": ["safetensors"]}.get(format, []):
        pytest.importorskip(package)
    with pytest.raises(CovdistError, match=words) as error:
        covdist.export(states, tmp_path / "file", format, **options)
    said(error)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_left_alone(tmp_path):
    (tmp_path / "s.npz").write_text("mine")
    with pytest.raises(ResultError, match="exists already"):
        covdist.moments(X).export(tmp_path / "s.npz", "fid")
    assert (tmp_path / "s.npz").read_text() == "mine"
    with pytest.raises(ResultError, match="does not exist: make it"):
        covdist.moments(X).export(tmp_path / "no" / "s.npz", "fid")
    with pytest.raises(ResultError, match=r"s\.npz is a file, .*: choose another place"):
        covdist.moments(X).export(tmp_path / "s.npz" / "s.npz", "fid")


PACKAGES = {"imatrix": "gguf", "kronfluence": "safetensors", "quip": "torch"}


@pytest.mark.parametrize("format", PACKAGES)
def test_a_package_that_is_missing_is_named(format, tmp_path, monkeypatch):
    package = PACKAGES[format]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    states = {"fc/input": covdist.moments(X), "fc/gradient": covdist.moments(X)}
    with pytest.raises(DataError, match=rf"{package}.*pip install ('covdist\[exports\]'|torch)"):
        covdist.export(states, tmp_path / "file", format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(27, "File too large"),
        OSError("90000 requested and 37872 written"),  # as numpy says it
    ],
    ids=str,
)
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, error):
    def write(m, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(plugins.find("exports", "fid"), "write", write)
    with pytest.raises(ResultError, match=r"s\.npz cannot be written .*choose another place"):
        covdist.moments(X).export(tmp_path / "s.npz", "fid")
    assert list(tmp_path.iterdir()) == []


def test_netcdf_looks_for_room_before_it_writes(tmp_path, monkeypatch):
    """The library of HDF5 crashes where it cannot write what it holds, and the process with it."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(xr.Dataset, "to_netcdf", lambda *_, **__: pytest.fail("is written"))
    with pytest.raises(ResultError, match=r"s\.nc cannot be written .*quota.*: choose another place"):
        covdist.moments(X).export(tmp_path / "s.nc", "netcdf")
    assert list(tmp_path.iterdir()) == []


def test_labels_that_netcdf_does_not_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("covdist.exports.netcdf.find_spec", lambda _: None)
    coords = {"unit": np.array([1, 2, 2**40])}
    m = covdist.moments(xr.DataArray(X, dims=("sample", "unit"), coords=coords), dim="sample")
    with pytest.raises(DataError, match=r"covdist\[exports\]") as error:
        m.export(tmp_path / "s.nc", "netcdf")
    said(error)
    assert list(tmp_path.iterdir()) == []


# ---- what is to be read


def with_(**changed):
    return GOOD | changed


def at(row, column, value, dtype=float):
    sigma = np.eye(3, dtype=dtype)
    sigma[row, column] = value
    return with_(sigma=sigma)


BAD = {
    "no count": (GOOD, {}, r"pass count= \(--count N\)"),
    "count of text": (GOOD, {"count": "many"}, "'many' is not a number of rows"),
    "count of nothing": (GOOD, {"count": 0}, "0 is not a number of rows"),
    "count of one": (GOOD, {"count": 1}, "from 2 on"),
    "half a row": (GOOD, {"count": 2.5}, "2.5 is not a number"),
    "NaN rows": (GOOD, {"count": np.nan}, "nan is not a number"),
    "its own count": (with_(count=-1), {}, "-1 is not a number"),
    "infinite count": (with_(count=np.inf), {}, "inf is not a number of rows"),
    "infinitely many": (GOOD, {"count": np.inf}, "inf is not a number of rows"),
    "count beyond int64": (with_(count=np.uint64(2**63)), {}, "9223372036854775808 is not a number of rows"),
    "count beyond uint64": (GOOD, {"count": 2**70}, "1180591620717411303424 is not a number of rows"),
    "huge count": (with_(count=1e300), {}, r"1e\+300 is not a number of rows"),
    "two counts": (with_(count=np.array([9, 9])), {}, r"array\(\[9, 9\]\) is not a number of rows"),
    "many counts": (with_(count=np.arange(90)), {}, "is not a number of rows"),
    "count of no numbers": (with_(count=np.array([])), {}, "is not a number of rows"),
    "its count of text": (with_(count=np.array("many")), {}, "'many' is not a number of rows"),
    "structured count": (with_(count=np.array([(9, 9.0)], "i8,f8")), {}, r"\(9, 9.0\) is not a number of rows"),
    "lacks sigma": ({"mu": np.zeros(3)}, {"count": 9}, "holds mu, where a fid file has mu, sigma"),
    "no square": (with_(sigma=np.ones((3, 2))), {"count": 9}, r"shape \(3, 2\)"),
    "other mean": (with_(mu=np.zeros(4)), {"count": 9}, r"shape \(4,\), where the matrix has 3 columns"),
    "vector": (with_(sigma=np.ones(3)), {"count": 9}, r"shape \(3,\)"),
    "nothing": (with_(mu=np.zeros(0), sigma=np.ones((0, 0))), {"count": 9}, r"shape \(0, 0\)"),
    "NaN": (at(1, 2, np.nan), {"count": 9}, r"sigma is nan at \(1, 2\)"),
    "infinite": (at(0, 0, np.inf), {"count": 9}, r"sigma is inf at \(0, 0\)"),
    "NaN mean": (with_(mu=np.array([0, np.nan, 0])), {"count": 9}, "mean of column 1 is nan"),
    "asymmetric": (at(0, 1, 0.5), {"count": 9}, r"0.5 at \(0, 1\), where a symmetric"),
    "negative": (at(2, 2, -1.0), {"count": 9}, r"-1 at \(2, 2\), where a sum of squares"),
    "correlation of 2": (with_(sigma=np.full((3, 3), 2.0) - np.eye(3)), {"count": 9}, "than the diagonal allows"),
    "text": (with_(mu=np.array(["a", "b", "c"])), {"count": 9}, "dtype <U1"),
    "objects": (with_(mu=np.array([{}, 1, 2], object)), {"count": 9}, "pickled"),
    "option": (GOOD, {"rows": 9}, "fid takes the options count, dim, found rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name, tmp_path):
    arrays, options, words = BAD[name]
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(CovdistError, match=words) as error:
        covdist.load(tmp_path / "s.npz", format="fid", **options)
    said(error)


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def bomb(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", header((2**40,)) + bytes(80))
        archive.writestr("sigma.npy", header((2**30, 2**30)) + bytes(80))


def cut(path):
    np.savez(path, **GOOD)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("write", [bomb, cut, lambda path: path.write_bytes(b"\x80\x04."), lambda path: path.mkdir()])
def test_hostile_npz(write, tmp_path):
    write(tmp_path / "s.npz")
    with pytest.raises(CovdistError) as error:
        covdist.load(tmp_path / "s.npz", format="fid", count=9)
    assert "s.npz" in said(error)


def test_missing_files_and_formats(tmp_path):
    for format in ("fid", "fadtk", "mom2"):
        with pytest.raises(ResultError, match="does not exist"):
            covdist.load(tmp_path / "s.npz", format=format)
    with pytest.raises(DataError, match="can be written, not read: those that can are fadtk, fid, kronfluence, mom2"):
        covdist.load(tmp_path / "s.npz", format="quip")
    with pytest.raises(DataError, match="format='fidd' is unknown"):
        covdist.load(tmp_path / "s.npz", format="fidd")
    with pytest.raises(DataError, match="a result of covdist takes no options, found count"):
        covdist.load(tmp_path / "s.npz", count=9)


MOM2 = {"mom2.count": 4, "mom2.mom2": np.eye(2)}


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (None, "no mean: pass mean=, a vector"),
        (np.ones(3), "shape"),
        ([9.0, 0.0], "column 0 is less than the square of its mean"),
        ("no.npy", "does not exist"),
        ([np.nan, 0], "mean of column 0 is nan"),
        ({"x": 1}, "no mean"),
        ([None, 1], "not a vector of numbers"),
    ],
)
def test_bad_means(mean, words, tmp_path):
    np.savez(tmp_path / "s.npz", **MOM2)
    with pytest.raises(CovdistError, match=words) as error:
        covdist.load(tmp_path / "s.npz", format="mom2", mean=mean)
    said(error)


FACTORS = ["activation_covariance", "num_activation_covariance_processed"]


@pytest.fixture
def factors(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    for factor in ("activation", "gradient"):
        save_file({"fc": np.eye(3)}, tmp_path / f"{factor}_covariance.safetensors")
        save_file({"fc": np.array([7])}, tmp_path / f"num_{factor}_covariance_processed.safetensors")
    return tmp_path


def replaced(**arrays):
    def change(folder):
        from safetensors.numpy import save_file

        for name, tensors in arrays.items():
            save_file(tensors, folder / f"{name}.safetensors")

    return change


def of_bytes(content):
    return lambda folder: (folder / "gradient_covariance.safetensors").write_bytes(content)


SPOILT = {
    "as they are": (lambda folder: None, {}, "fc/input in .* no mean"),
    "no bias": (lambda folder: None, {"bias": "*"}, "has 1 in its last corner"),
    "header bomb": (of_bytes(struct.pack("<Q", 2**60) + b"{"), {"mean": 0}, "not a readable safetensors"),
    "cut header": (of_bytes(struct.pack("<Q", 40) + b'{"x":{"dtype":"F64","shape":[9'), {"mean": 0}, "not a readable"),
    "empty": (of_bytes(b""), {"mean": 0}, "not a readable safetensors"),
    "missing": (lambda folder: (folder / "gradient_covariance.safetensors").unlink(), {"mean": 0}, "does not exist"),
    "other modules": (replaced(gradient_covariance={"fc2": np.eye(3)}), {"mean": 0}, "holds fc in one of"),
    "a vector": (replaced(activation_covariance={"fc": np.ones(3)}), {"bias": "fc"}, r"shape \(3,\)"),
    "no count": (replaced(num_activation_covariance_processed={"fc": np.array([0])}), {"mean": 0}, "is not a number"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_bad_factors(name, factors):
    spoil, options, words = SPOILT[name]
    spoil(factors)
    with pytest.raises(CovdistError, match=words) as error:
        covdist.load(factors, format="kronfluence", **options)
    said(error)
