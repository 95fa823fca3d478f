"""What another tool kept becomes moments, which go on with new rows as if all had been folded here."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist

RNG = np.random.default_rng(0)
OLD, NEW = RNG.normal([3.0, -1.0, 0.5], [1.0, 2.0, 0.5], (2, 150, 3))


def fid(rows, path):
    np.savez(path, mu=np.mean(rows, axis=0), sigma=np.cov(rows, rowvar=False))
    return partial(covdist.load, path, format="fid", count=len(rows))


def fadtk(rows, path):
    path = path.with_suffix("")
    path.mkdir()
    np.save(path / "mu.npy", np.mean(rows, axis=0))
    np.save(path / "cov.npy", np.cov(rows, rowvar=False))
    return partial(covdist.load, path, format="fadtk", count=len(rows))


def mom2(rows, path):
    arrays = {"mom2.constructor": "SecondMoment()", "mom2.count": len(rows), "mom2.mom2": rows.T @ rows}
    np.savez(path, sample_size=10, **arrays)
    return partial(covdist.load, path, format="mom2", mean=rows.mean(axis=0))


def kronfluence(rows, path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    path = path.with_suffix("")
    path.mkdir()
    ones = np.append(rows, np.ones((len(rows), 1)), axis=1)
    for factor, sums in {"activation": ones.T @ ones, "gradient": rows.T @ rows}.items():
        save_file({"fc": sums}, path / f"{factor}_covariance.safetensors")
        save_file({"fc": np.array([len(rows)])}, path / f"num_{factor}_covariance_processed.safetensors")
    return lambda: covdist.load(path, format="kronfluence", bias="fc", mean=0)["fc/input"]


@pytest.mark.parametrize("write", [fid, fadtk, mom2, kronfluence])
def test_goes_on_with_new_rows(write, tmp_path):
    old = write(OLD, tmp_path / "old.npz")()
    whole = covdist.moments(np.concatenate([OLD, NEW]))
    both = old + covdist.moments(NEW)
    assert int(both.count) == 300
    for found, expected in ((both.mean(), whole.mean()), (both.cov(), whole.cov()), (both.corr(), whole.corr())):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert both.layout.provenance["rows"] == 300


@given(
    rows=st.integers(2, 30), new=st.integers(1, 5), columns=st.integers(1, 4),
    size=st.sampled_from([1e-140, 1e-30, 1.0, 1e140]), ratio=st.sampled_from([0.0, 1.0, 1e8]),
    format=st.sampled_from(["fid", "mom2"]),
)  # fmt: skip
def test_there_and_back(tmp_path_factory, rows, new, columns, size, ratio, format):
    """To 1e-12 of what the file has: of mom2 that is the mean square, of fid the variance."""
    data = np.random.default_rng(rows).normal(ratio, 1, (rows + new, columns)) * size
    path = tmp_path_factory.mktemp("back") / "s.npz"
    covdist.moments(data[:rows]).export(path, format)
    found = covdist.load(path, format=format) + covdist.moments(data[rows:])
    expected = covdist.moments(data)
    scale = size**2 * (ratio**2 if format == "mom2" else 1) + size**2
    # The mean in a file has float64's digits.
    slack = scale if format == "mom2" else scale + np.finfo(float).eps * ratio * size * size * 1e12
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-14, atol=1e-14 * size)
    np.testing.assert_allclose(found.cov(), expected.cov(), rtol=0, atol=1e-12 * slack)


def test_provenance_says_where_it_comes_from(tmp_path):
    np.savez(tmp_path / "s.npz", mu=np.zeros(2, np.float32), sigma=np.eye(2, dtype=np.float32))
    m = covdist.load(tmp_path / "s.npz", format="fid", count=np.int64(5), dim="feature")
    about = m.layout.provenance
    assert (about["kernel"], about["precision"]) == ("imported from fid", "float32 in the fid file")
    assert m.cov(ddof=1).dims == ("feature", "feature_2")
    np.testing.assert_array_equal(m.cov(ddof=1), np.eye(2))
    m.save(tmp_path / "r.zarr")
    assert covdist.load(tmp_path / "r.zarr").layout.provenance == about


def test_a_mean_of_zero_keeps_second_moments_right(tmp_path):
    mom2(OLD, tmp_path / "s.npz")
    m = covdist.load(tmp_path / "s.npz", format="mom2", mean=0) + covdist.moments(NEW)
    rows = np.concatenate([OLD, NEW])
    np.testing.assert_allclose(m.second_moment(divide=False), rows.T @ rows, rtol=1e-13)
    assert "taken as 0" in m.layout.provenance["mean"]


@pytest.mark.parametrize("given", ["vector", "npy", "npz"])
def test_means_of_a_file(given, tmp_path):
    mom2(OLD, tmp_path / "s.npz")
    mean = OLD.mean(axis=0)
    np.save(tmp_path / "m.npy", mean)
    np.savez(tmp_path / "m.npz", **{"": mean})
    means = {"vector": mean.tolist(), "npy": tmp_path / "m.npy", "npz": str(tmp_path / "m.npz")}
    m = covdist.load(tmp_path / "s.npz", format="mom2", mean=means[given])
    np.testing.assert_allclose(m.cov(), covdist.moments(OLD).cov(), rtol=1e-12, atol=1e-13)


def test_gradients_of_kronfluence_take_a_mean_by_their_name(tmp_path):
    kronfluence(OLD, tmp_path / "k.npz")
    found = covdist.load(tmp_path / "k", format="kronfluence", bias=["x", "f*"], mean={"fc/gradient": OLD.mean(axis=0)})
    assert found.keys() == {"fc/input", "fc/gradient"}
    for m in found.values():
        np.testing.assert_allclose(m.cov(), covdist.moments(OLD).cov(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_files_with_constant_columns(dtype, tmp_path):
    """Rounding may leave a negative square of a constant column, and a correlation beyond 1: neither comes through."""
    rows = np.repeat(OLD[:, :1], 3, axis=1)
    rows[:, 1] = 3.1
    np.savez(tmp_path / "s.npz", **{"mom2.count": 150, "mom2.mom2": (rows.T @ rows).astype(dtype)})
    m = covdist.load(tmp_path / "s.npz", format="mom2", mean=rows.mean(axis=0))
    assert (m.var() >= 0).all()
    assert abs(float(m.var()[0]) - rows[:, 0].var()) < 0.1
    corr = m.corr()
    assert np.nanmax(np.abs(corr)) <= 1
    assert float(m.smallest_eigenvalue()) > -1e-1


def test_nearly_symmetric_is_made_symmetric(tmp_path):
    sigma = np.cov(OLD, rowvar=False).astype(np.float32)
    sigma[0, 1] = np.nextafter(sigma[0, 1], np.float32(9))
    np.savez(tmp_path / "s.npz", mu=OLD.mean(axis=0), sigma=sigma)
    cov = covdist.load(tmp_path / "s.npz", format="fid", count=9).cov()
    np.testing.assert_array_equal(cov, cov.T)


def test_bfloat16_of_kronfluence(tmp_path):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    kronfluence(OLD, tmp_path / "k.npz")
    sums = (OLD.T @ OLD).astype(bfloat16)
    header = b'{"fc":{"dtype":"BF16","shape":[3,3],"data_offsets":[0,18]}}'
    content = len(header).to_bytes(8, "little") + header + sums.tobytes()
    (tmp_path / "k" / "gradient_covariance.safetensors").write_bytes(content)
    m = covdist.load(tmp_path / "k", format="kronfluence", bias="fc", mean=0)["fc/gradient"]
    np.testing.assert_allclose(m.second_moment(divide=False), sums.astype(float), rtol=1e-12)
    assert m.layout.provenance["precision"] == "bfloat16 in the kronfluence file"
