"""What a training loop has in its hands is recorded as it is, or refused by name."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse
import zarr

import covdist
from covdist.errors import DataError
from covdist.logs.dask_arrays import from_dask
from covdist.logs.opening import open_log
from covdist.record.recorder import Recorder
from covdist.record.values import as_bytes
from covdist.rows.readers import SourceReader

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]])
MASKED = np.ma.array(X, mask=[[0, 0], [1, 0], [0, 0]])
HOLED = np.where(MASKED.mask, np.nan, X)


def recorded(path, *values: object) -> np.ndarray:
    with Recorder(path) as rec:
        for step, value in enumerate(values):
            rec.log(step, {"a": value})
    return open_log(path)["a"].values


LISTS = {
    "rows": [*MASKED],
    "tuple": tuple(MASKED),
    "nested": [[row[:1], row[1:]] for row in MASKED],
    "mixed": [MASKED[0], MASKED[1], [5.0, 9.0]],
    "constants": [[1.0, 2.0], [np.ma.masked, 4.0], [5.0, 9.0]],
}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_masked_floats_become_nan(tmp_path, dtype):
    np.testing.assert_array_equal(recorded(tmp_path / "log", MASKED.astype(dtype)), HOLED)


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_masked_rows(tmp_path, name):
    value = LISTS[name]
    np.testing.assert_array_equal(recorded(tmp_path / "log", value).reshape(3, 2), HOLED)
    if name != "nested":
        np.testing.assert_array_equal(covdist.var(value, missing="drop"), [4.0, 12.25])
        with pytest.raises(DataError, match="NaN"):
            covdist.var(value)


def test_lists_of_masked_rows_wherever_values_come_in():
    weights = [np.ma.array(1.0), np.ma.array(1.0, mask=True), np.ma.array(1.0)]
    with pytest.raises(DataError, match="weights"):
        covdist.var(X, weights=weights)
    np.testing.assert_array_equal(covdist.cov(X, [*MASKED], missing="drop"), covdist.cov(X[[0, 2]], X[[0, 2]]))


@pytest.mark.parametrize("dtype", [bool, "i4", "u1"])
def test_masked_integers_are_refused(tmp_path, dtype):
    whole = np.ma.array(X.astype(dtype), mask=False)
    with Recorder(tmp_path / "log") as rec:
        with pytest.raises(DataError, match=r"a has 1 masked entries, expected none in .*astype\(float\)"):
            rec.log(0, {"a": np.ma.array(whole, mask=MASKED.mask)})
        rec.log(0, {"a": whole})
    np.testing.assert_array_equal(open_log(tmp_path / "log")["a"], whole.data)


class Tensor:
    """As much of a tensor as counts: it wants to be detached, and converts only the dtypes that NumPy has."""

    def __init__(self, data: np.ndarray, *, known: bool = True, grad: bool = False, device: str = "cpu"):
        self.data, self.known, self.grad, self.device = data, known, grad, device

    def detach(self):
        return Tensor(self.data, known=self.known, device=self.device)

    def cpu(self):
        return Tensor(self.data, known=self.known, grad=self.grad)

    def is_complex(self):
        return False

    def float(self):
        return Tensor(self.data.astype("f4"))

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if not self.known or self.device != "cpu":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.data


@pytest.mark.parametrize(
    "options", [{"grad": True}, {"known": False}, {"device": "cuda"}, {"grad": True, "known": False, "device": "cuda"}]
)
def test_tensors(tmp_path, options):
    tensor = Tensor(X.astype("f4"), **options)
    rows = [Tensor(row, **options) for row in X.astype("f4")]
    np.testing.assert_array_equal(recorded(tmp_path / "log", tensor, rows), [*X, *X])


def test_half_after_single_precision(tmp_path):
    found = recorded(tmp_path / "log", X.astype("f4"), X.astype("f2"), X.astype("i2"), X.astype(bool))
    assert found.dtype == "f4"
    np.testing.assert_array_equal(found, [*X, *X, *X, *X.astype(bool)])


WIDER = [("f2", "f4"), ("f4", "f8"), ("i4", "f4"), ("?", "f4"), ("i8", "f8"), ("u1", "i1"), ("u8", "i8"), ("f2", "i4")]


@pytest.mark.parametrize(("first", "then"), WIDER)
@pytest.mark.parametrize("chunk_bytes", [30, 1000])
@pytest.mark.parametrize("place", ["folder", "memory"])
def test_a_wider_dtype_is_kept_for_all_rows(tmp_path, first, then, chunk_bytes, place):
    path = str(tmp_path / "log") if place == "folder" else f"memory:/{tmp_path}/log"
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 2, (7, 2)).astype(first), (rng.normal(size=(7, 2)) * 9).astype(then))
    for mode, steps in (("x", range(4)), ("a", range(4, 7))):
        with Recorder(path, mode=mode, chunk_bytes=chunk_bytes) as rec:
            for step in steps:
                rec.log(2 * step, {"a": before[step : step + 1], "loss": before[step, 0]}, epoch=step)
                rec.log(2 * step + 1, {"a": after[step : step + 1], "loss": after[step, 0]}, epoch=step + 0.5)
    log = open_log(path)
    expected = np.stack([before, after], axis=1).reshape(14, 2)  # in the dtype that NumPy finds for both
    assert log["a"].dtype == log["loss"].dtype == expected.dtype
    np.testing.assert_array_equal(log["a"], expected)
    np.testing.assert_array_equal(log["loss"], expected[:, 0])
    np.testing.assert_array_equal(log["sample_epoch"], np.arange(14) / 2)
    assert covdist.var(log["a"], dim="sample").shape == (2,)
    if place == "folder":  # of the narrow chunks nothing is left
        chunks = -(-14 // zarr.open_array(f"{path}/a").chunks[0])
        assert len([file for file in (tmp_path / "log" / "a").rglob("*") if file.is_file()]) == chunks + 1


def test_whole_numbers_that_no_dtype_holds_beside_floats(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        rec.log(0, {"a": 2**53 + 1, "b": 0.5})
        for value in ({"a": 0.5}, {"b": 2**53 + 1}):
            with pytest.raises(DataError, match=r"no dtype holds both exactly: convert it"):
                rec.log(1, value)
        rec.log(1, {"a": 7, "b": 2**53})
    log = open_log(tmp_path / "log")
    assert log["a"].values.tolist() == [2**53 + 1, 7]
    assert log["b"].values.tolist() == [0.5, 2.0**53]


class Stubborn:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


@pytest.mark.parametrize("value", [Stubborn(), [[1.0], [1.0, 2.0]], [Stubborn()], ["a", 1], {"a": 1}, None])
def test_other_things_are_refused_by_name(tmp_path, value):
    with Recorder(tmp_path / "log") as rec, pytest.raises(DataError, match=r"^a (is|has) .*convert it"):
        rec.log(0, {"a": value})


EXTENSIONS = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "int4", "uint4")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_dtypes_of_ml_dtypes(tmp_path, name):
    data = np.array([[1, 2], [3, 4]]).astype(getattr(ml_dtypes, name))
    found = recorded(tmp_path / "log", data)
    assert found.dtype == {"int4": "i1", "uint4": "i1"}.get(name, "f4")
    np.testing.assert_array_equal(found, [[1, 2], [3, 4]])


@pytest.mark.parametrize("name", [*EXTENSIONS[:4], "int4"])
def test_logs_with_data_types_of_ml_dtypes(tmp_path, name):
    data = np.array([[1, 2], [3, 4], [6, -2]]).astype(getattr(ml_dtypes, name))
    raw = zarr.create_array(str(tmp_path / "a"), data=data.view(f"u{data.itemsize}"), chunks=(2, 2), compressors=None)
    path = tmp_path / "a" / "zarr.json"
    written = path.read_text().replace(f'"{raw.dtype}"', f'"{name}"')
    path.write_text(written.replace('"fill_value": 0', '"fill_value": "0x2"'))
    np.testing.assert_array_equal(open_log(tmp_path / "a")["a"], data.astype("f4"))
    (tmp_path / "a/c/1/0").unlink()
    filled = np.array(2, raw.dtype).view(data.dtype).astype("f4")
    assert (open_log(tmp_path / "a", missing_chunks="fill")["a"].values[2] == filled).all()
    np.testing.assert_allclose(covdist.var(data), data.astype("f8").var(axis=0))


@pytest.mark.parametrize("missing", ["raise", "drop", "pairwise", "interpolate", "propagate"])
def test_bfloat16_is_folded_as_it_is_stored(tmp_path, missing):
    data = np.random.default_rng(0).normal(3, 1, (1000, 5)).astype(ml_dtypes.bfloat16)
    if missing != "raise":
        data[[3, 500, 700], [0, 1, 1]] = np.nan
    raw = zarr.create_array(str(tmp_path / "a"), data=data.view("u2"), chunks=(300, 5), compressors=None)
    path = tmp_path / "a" / "zarr.json"
    path.write_text(path.read_text().replace(f'"{raw.dtype}"', '"bfloat16"'))
    found, source = open_log(tmp_path / "a")["a"], from_dask(open_log(tmp_path / "a")["a"].data)
    pieces = list(SourceReader(source, 1, slice(0, 5)).pieces(0, 4))
    assert {piece.dtype for piece in pieces} == {data.dtype}
    assert sum(map(len, pieces)) == 1000
    assert found.dtype == found.values.dtype == "f4"
    given = data.astype("f4")
    for read in (covdist.cov, covdist.var, partial(covdist.var, by=np.arange(1000) % 3)):
        expected = read(given, missing=missing)
        np.testing.assert_allclose(read(found, dim=found.dims[0], missing=missing), expected, rtol=1e-13)


@pytest.mark.parametrize(("raw", "said"), [("V2", "saves bfloat16 of"), ("V1", "saves float8 or int4 of")])
def test_npy_files_without_the_name_of_their_dtype(tmp_path, raw, said):
    np.save(tmp_path / "x.npy", np.zeros((4, 2), raw))
    np.save(tmp_path / "y.npy", X)
    log = open_log(tmp_path)
    with pytest.raises(DataError, match=rf"x has dtype \|{raw}, raw bytes, as NumPy {said}.*view\(ml_dtypes\."):
        covdist.var(log["x"], dim="sample")
    np.testing.assert_allclose(covdist.var(log["y"], dim=log["y"].dims[0]), X.var(axis=0))


def test_tensors_of_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install torch")
    with Recorder(tmp_path / "log") as rec:
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
            rec.log(0, {"a": torch.tensor(X).to(dtype)})
        rec.log(0, {"a": [torch.tensor(row, dtype=torch.float32, requires_grad=True) for row in X]})
        rec.log(
            0,
            {"a": torch.tensor(X).float().requires_grad_()},
        )
        rec.log(0, {"a": torch.complex(torch.tensor(X), -torch.tensor(X)).conj().imag})  # a view with its sign turned
        gradient = torch.nn.Parameter(torch.ones(3, 4)).bfloat16()
        rec.log(1, {"loss": torch.tensor(2.0, requires_grad=True), "n/gradient": gradient}, epoch=torch.tensor(3))
        for bad in (
            torch.zeros(2, 2).to_sparse(),
            torch.zeros(2, dtype=torch.complex64),
            torch.zeros(2, device="meta"),
        ):
            with pytest.raises(DataError, match=r"^b (is|has) "):
                rec.log(2, {"b": bad})
    log = open_log(tmp_path / "log")
    assert log["a"].shape == (24, 2)
    np.testing.assert_array_equal(log["a"][:9], np.concatenate([X, X, X]))
    np.testing.assert_array_equal(log["a"][-3:], X)
    assert log["n/gradient"].dtype == "f4"


def test_tensors_are_recorded_in_the_dtype_of_torch_that_is_asked_for(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install torch")
    data = torch.randn(6, 4).bfloat16().requires_grad_()
    with Recorder(tmp_path / "log", dtype=torch.bfloat16) as rec:
        rec.log(0, {"a": data})
    assert '"data_type": "bfloat16"' in (tmp_path / "log/a/zarr.json").read_text()
    np.testing.assert_array_equal(open_log(tmp_path / "log")["a"], data.detach().float())


def test_all_buffers_share_one_budget(tmp_path):
    rows = np.random.default_rng(0).normal(size=(10, 300, 64)).astype("f4")
    with Recorder(tmp_path / "log", memory="1MiB") as rec:
        for step in range(10):
            for layer in range(30):  # as hooks do: each call with a new array
                rec.log(step, {f"l{layer}/a": rows[step] + np.float32(layer)})
                assert rec._tracks.taken <= 1 << 20
    log = open_log(tmp_path / "log")
    for layer in range(30):
        np.testing.assert_array_equal(log[f"l{layer}/a"], rows.reshape(-1, 64) + np.float32(layer))
    assert sum(file.stat().st_size for file in (tmp_path / "log").rglob("*")) <= 1.05 * 30 * rows.nbytes


@pytest.mark.parametrize("kind", ["noise", "sparse", "whole"])
def test_a_log_takes_the_room_of_its_data(tmp_path, kind):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 500, 200)).astype("f4")
    data = {"noise": data, "sparse": data * (rng.random(data.shape) > 0.9), "whole": np.round(data)}[kind].astype("f4")
    with Recorder(tmp_path / "log") as rec:
        for step in range(20):
            rec.log(step, {"a": data[step]})
    size = sum(file.stat().st_size for file in (tmp_path / "log").rglob("*"))
    assert size <= data.nbytes * (1.05 if kind == "noise" else 0.4)
    np.testing.assert_array_equal(open_log(tmp_path / "log")["a"], data.reshape(-1, 200))


def test_rows_larger_than_a_chunk(tmp_path):
    wide = np.random.default_rng(0).normal(size=(3, 1 << 21)).astype("f4")
    with Recorder(tmp_path / "log", memory="4MiB") as rec:
        for step, row in enumerate(wide):
            rec.log(step, {"gradient": row})
    np.testing.assert_array_equal(open_log(tmp_path / "log")["gradient"], wide)


@pytest.mark.parametrize(("memory", "found"), [("256MiB", 1 << 28), ("1.5 GB", 15 * 10**8), (1000, 1000), ("2k", 2000)])
def test_bytes_as_text(memory, found):
    assert as_bytes(memory) == found


@pytest.mark.parametrize("memory", ["much", 0, -1, "0B", None])
def test_other_memory_is_refused(tmp_path, memory):
    with pytest.raises(DataError, match="memory must be bytes"):
        Recorder(tmp_path / "log", memory=memory)


def test_as_many_arrays_as_hooks_log_one_by_one(tmp_path):
    """Each new array looked at all others of all layers: 400 layers took a minute."""
    rows = np.ones((2, 3), "f4")
    with Recorder(tmp_path / "log") as rec:
        for layer in range(400):
            rec.log(0, {f"l{layer}/a": rows}, epoch=0)
        for name in ("l7", "l7/a/b", "l7/sample_step", "l7/a_sample_epoch/x", "l7/b/c"):
            if name == "l7/b/c":
                rec.log(0, {name: rows}, epoch=0)
                name = "l7/b"
            with pytest.raises(DataError, match="cannot be an array"):
                rec.log(0, {name: rows}, epoch=0)
    assert len(open_log(tmp_path / "log").children) == 400
    with Recorder(tmp_path / "log", mode="a") as rec, pytest.raises(DataError, match="l7/a cannot be an array"):
        rec.log(1, {"l7/a/b": rows}, epoch=0)


class OnDevice:
    """As cupy's arrays: NumPy converts them by DLPack, and only when they are asked to come to the CPU."""

    def __init__(self, data: np.ndarray, *, refuses: bool):
        self.data, self.refuses = data, refuses

    def __dlpack_device__(self):
        return (2, 0) if self.refuses else (1, 0)

    def __dlpack__(self, *, dl_device=None, **options):
        if self.refuses and dl_device != (1, 0):
            raise BufferError("the array lies on a device")
        return self.data.__dlpack__()

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


class OnlyDLPack:
    def __init__(self, data: np.ndarray):
        self.data = data

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        return self.data.__dlpack__()


@pytest.mark.parametrize("wrap", [partial(OnDevice, refuses=False), partial(OnDevice, refuses=True), OnlyDLPack])
def test_arrays_of_other_libraries_come_by_dlpack(tmp_path, wrap):
    data = X.astype("f4")
    np.testing.assert_array_equal(recorded(tmp_path / "log", wrap(data), [wrap(row) for row in data]), [*X, *X])


@pytest.mark.parametrize("make", ["csr_array", "coo_matrix"])
def test_sparse_arrays_are_refused(tmp_path, make):
    sparse = getattr(scipy.sparse, make)(X)
    with Recorder(tmp_path / "log") as rec, pytest.raises(DataError, match=r"^a is .* sparse, .*\.toarray\(\)"):
        rec.log(0, {"a": sparse})
