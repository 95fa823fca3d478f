"""Files as the tools load them hold what the tools would have computed of the same rows."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.state.named import state_types

from . import loading

RNG = np.random.default_rng(0)
X = RNG.normal([3.0, -1.0, 0.0, 100.0], [1.0, 2.0, 0.5, 1e-3], (200, 4))
Z = np.eye(3)[RNG.integers(0, 3, 200)]
SUMS = X.T @ X


@pytest.fixture
def m():
    return covdist.moments(X)


def close(found, expected, rtol=1e-12):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def test_fid(m, tmp_path):
    m.export(tmp_path / "s.npz", "fid")
    mu, sigma = loading.pytorch_fid(tmp_path / "s.npz")
    assert (mu.dtype, sigma.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(mu, m.mean())
    np.testing.assert_array_equal(sigma, m.cov(ddof=1))
    close(mu, np.mean(X, axis=0))
    close(sigma, np.cov(X, rowvar=False))


def test_fadtk(m, tmp_path):
    m.export(tmp_path / "clip", "fadtk")
    mu, cov = loading.fadtk(tmp_path / "clip")
    np.testing.assert_array_equal(mu, m.mean())
    close(cov, np.cov(X, rowvar=False))


def test_mom2(m, tmp_path):
    m.export(tmp_path / "s.npz", "mom2", sample_size=100_000)
    found = loading.rome(tmp_path / "s.npz", 100_000)
    assert int(found["mom2"]["count"]) == int(found["mean"]["count"]) == 200
    np.testing.assert_array_equal(found["mom2"]["mom2"], m.second_moment(divide=False))
    close(found["mom2"]["mom2"], SUMS)
    close(found["mean"]["mean"], X.mean(axis=0))
    assert tuple(found["mean"]["data_shape"]) == (4,)
    m.export(tmp_path / "t.npz", "mom2")
    assert loading.rome(tmp_path / "t.npz", 200)["mom2"].keys() == {"constructor", "count", "mom2"}


def test_kronfluence(tmp_path):
    pytest.importorskip("safetensors")
    gradients = covdist.moments(Z)
    states = {"h/0/fc/input": covdist.moments(X), "h/0/fc/gradient": gradients}
    states |= {"head/activation": covdist.moments(X[:, :2]), "head/gradient": gradients}
    covdist.export(states, tmp_path / "factors_ekfac", "kronfluence", bias="h.*")
    found = loading.kronfluence(tmp_path / "factors_ekfac")
    assert {name: sorted(each) for name, each in found.items()} == {name: ["h.0.fc", "head"] for name in found}
    ones = np.append(X, np.ones((200, 1)), axis=1)
    close(found["activation_covariance"]["h.0.fc"], ones.T @ ones)
    close(found["activation_covariance"]["head"], X[:, :2].T @ X[:, :2])
    close(found["gradient_covariance"]["head"], Z.T @ Z)
    for name in ("num_activation_covariance_processed", "num_gradient_covariance_processed"):
        assert (found[name]["head"].dtype, found[name]["head"].tolist()) == (np.int64, [200])


@pytest.mark.parametrize("state", ["full", "variances"])
def test_imatrix(state, tmp_path):
    pytest.importorskip("gguf")
    states = {"blk.0.attn_q.weight/input": covdist.moments(X, state=state), "blk/1/up/weight": covdist.moments(Z)}
    covdist.export(states, tmp_path / "i.gguf", "imatrix", dataset="wiki.txt")
    found, about = loading.llama_cpp(tmp_path / "i.gguf")
    assert found.keys() == {"blk.0.attn_q.weight", "blk.1.up.weight"}
    first = found["blk.0.attn_q.weight"]
    close(first["in_sum2"], np.square(X).sum(axis=0)[None], 1e-6)
    close(first["in_sum"], X.sum(axis=0)[None], 1e-6)
    assert (first["counts"].shape, first["counts"].item()) == ((1, 1), 200.0)
    assert about == {
        "general.type": "imatrix", "imatrix.datasets": ["wiki.txt"], "imatrix.chunk_count": 1, "imatrix.chunk_size": 512
    }  # fmt: skip


def test_imatrix_of_experts(tmp_path):
    pytest.importorskip("gguf")
    expert = xr.DataArray(np.arange(200) % 3, dims="sample", name="expert")
    m = covdist.moments(xr.DataArray(X, dims=("sample", "unit")), dim="sample", by=expert)
    m.export(tmp_path / "i.gguf", "imatrix", name="blk.0.ffn_up_exps.weight")
    (found,) = loading.llama_cpp(tmp_path / "i.gguf")[0].values()
    close(found["in_sum2"], np.stack([np.square(X[each::3]).sum(axis=0) for each in range(3)]), 1e-6)
    assert found["counts"].ravel().tolist() == [67.0, 67.0, 66.0]


def test_quip(m, tmp_path):
    pytest.importorskip("torch")
    m.export(tmp_path / "0_qkv.pt", "quip")
    close(loading.quip(tmp_path / "0_qkv.pt"), SUMS / 200, 1e-6)


def test_leace(m, tmp_path):
    """The attributes of a fitter that has seen the rows: Welford's sums of products."""
    covdist.moments(X, Z).export(tmp_path / "s.npz", "leace", m_x=m)
    found = np.load(tmp_path / "s.npz")
    assert sorted(found) == ["mean_x", "mean_z", "n", "sigma_xx_", "sigma_xz_"]
    x, z = X - X.mean(axis=0), Z - Z.mean(axis=0)
    close(found["sigma_xx_"], x.T @ x)
    close(found["sigma_xz_"], x.T @ z)
    close(found["mean_x"], X.mean(axis=0))
    close(found["mean_z"], Z.mean(axis=0))
    assert int(found["n"]) == 200


@pytest.mark.skipif("both" not in state_types(), reason="no state of x with z holds the matrix of x")
def test_leace_of_a_state_that_holds_both(m, tmp_path):
    covdist.moments(X, Z, state="both").export(tmp_path / "s.npz", "leace")
    covdist.moments(X, Z).export(tmp_path / "t.npz", "leace", m_x=m)
    with np.load(tmp_path / "s.npz") as found, np.load(tmp_path / "t.npz") as expected:
        for name in expected:
            close(found[name], expected[name])


def test_leace_by_the_fitter_itself(m, tmp_path):
    torch = pytest.importorskip("torch")
    leace = pytest.importorskip("concept_erasure")
    covdist.moments(X, Z).export(tmp_path / "s.npz", "leace", m_x=m)
    fitter = leace.LeaceFitter(4, 3, dtype=torch.float64)
    for name, values in np.load(tmp_path / "s.npz").items():
        setattr(fitter, name, torch.from_numpy(values))
    expected = leace.LeaceFitter.fit(torch.from_numpy(X), torch.from_numpy(Z)).eraser
    close(fitter.eraser(torch.from_numpy(X)).numpy(), expected(torch.from_numpy(X)).numpy(), 1e-8)


def labelled():
    coords = {"unit": list("abcd"), "epoch": ("sample", np.arange(200) // 100)}
    return xr.DataArray(X, dims=("sample", "unit"), coords=coords)


@pytest.mark.parametrize("state", ["full", "higher"])
def test_npz_with_labels_and_groups(state, tmp_path):
    m = covdist.moments(labelled(), dim="sample", by="epoch", state=state)
    m.export(tmp_path / "s.npz", "npz")
    found = np.load(tmp_path / "s.npz", allow_pickle=False)
    close(found["mean"], np.stack([X[:100].mean(axis=0), X[100:].mean(axis=0)]))
    assert found["dims.mean"].tolist() == ["epoch", "unit"]
    assert found["unit"].tolist() == list("abcd")
    assert found["epoch"].tolist() == [0, 1]
    more = {"full": "cov", "higher": "kurtosis"}[state]
    np.testing.assert_array_equal(found[more], getattr(m, more)())


def test_npz_of_labels_of_several_levels(tmp_path):
    x = xr.DataArray(X.reshape(-1, 2, 2), dims=("t", "h", "w"), coords={"h": ["a", "b"]}).stack(unit=("h", "w"))
    covdist.moments(x, dim="t").export(tmp_path / "s.npz", "npz")
    found = np.load(tmp_path / "s.npz", allow_pickle=False)
    assert found["h"].tolist() == found["h_2"].tolist() == list("aabb")
    assert found["w"].tolist() == [0, 1, 0, 1]
    close(found["cov"], np.cov(X, rowvar=False, ddof=0))


@pytest.mark.parametrize(("widths", "labels"), [((3, 2), None), ((3, 3), ("abc", "def")), ((3, 2), ("abc", "ab"))])
def test_npz_of_x_and_y_whose_columns_go_by_the_same_name(widths, labels, tmp_path):
    x, y = (xr.DataArray(X[:, :width], dims=("sample", "unit")) for width in widths)
    if labels is not None:
        x, y = (each.assign_coords(unit=list(names)) for each, names in zip((x, y), labels, strict=True))
    covdist.moments(x, y, dim="sample").export(tmp_path / "s.npz", "npz")
    found = np.load(tmp_path / "s.npz", allow_pickle=False)
    np.testing.assert_allclose(found["mean_y"], y.to_numpy().mean(axis=0))
    np.testing.assert_allclose(found["var_y"], y.to_numpy().var(axis=0))
    assert found["dims.mean_y"].tolist() == found["dims.cov"].tolist()[1:] == ["unit_2"]


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
def test_netcdf(engine, tmp_path, monkeypatch):
    if engine == "scipy":
        monkeypatch.setattr("covdist.exports.netcdf.find_spec", lambda _: None)
    else:
        pytest.importorskip(engine)
    m = covdist.moments(labelled(), dim="sample", by="epoch")
    m.export(tmp_path / "s.nc", "netcdf")
    with xr.open_dataset(tmp_path / "s.nc", engine=engine) as found:
        assert found["cov"].dims == ("epoch", "unit", "unit_2")
        np.testing.assert_array_equal(found["cov"], m.cov())
        np.testing.assert_array_equal(found["unit_2"].astype(str), list("abcd"))
        assert found["count"].values.tolist() == [100, 100]
        assert found.attrs["kind"] == "full"


def test_netcdf_of_x_and_y_and_of_levels(tmp_path):
    stacked = labelled().stack(place=("unit",)).drop_vars("epoch")
    covdist.moments(stacked, xr.DataArray(Z, dims=("sample", "z")), dim="sample").export(tmp_path / "s.nc", "netcdf")
    with xr.open_dataset(tmp_path / "s.nc") as found:
        close(found["mean_y"].values, Z.mean(axis=0))
        assert found["cov"].sizes["place"] == 4
        np.testing.assert_array_equal(found["unit"].astype(str), list("abcd"))


@pytest.mark.parametrize("columns", [X[:, 0], X[:, :1]], ids=["a variable", "a column"])
def test_one_column(columns, tmp_path):
    covdist.moments(columns).export(tmp_path / "s.npz", "fid")
    mu, sigma = loading.pytorch_fid(tmp_path / "s.npz")
    assert (mu.shape, sigma.shape) == ((1,), (1, 1))
    close(sigma, [[X[:, 0].var(ddof=1)]])


def test_lazy_and_tiled(tmp_path):
    lazy = xr.DataArray(X, dims=("sample", "unit")).chunk(sample=50, unit=2)
    covdist.moments(lazy, dim="sample").export(tmp_path / "s.npz", "fid")
    covdist.moments(lazy, dim="sample", matrix="tiles").export(tmp_path / "t.npz", "fid")
    for name in ("s.npz", "t.npz"):
        close(loading.pytorch_fid(tmp_path / name)[1], np.cov(X, rowvar=False))


def test_several_layers_are_files_in_a_folder(m, tmp_path):
    covdist.export({"a/b": m, "a.b": m, "c": m}, tmp_path / "all", "fid")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["a.b.npz", "a.b_.npz", "c.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all"]


@pytest.mark.parametrize("size", [1e-140, 1e-160, 1e140])
def test_extreme_magnitudes(size, tmp_path):
    m = covdist.moments(X[:, :3] * size)
    m.export(tmp_path / "s.npz", "fid")
    np.testing.assert_array_equal(loading.pytorch_fid(tmp_path / "s.npz")[1], m.cov(ddof=1))


def test_whole_weights_count_as_rows(tmp_path):
    weights = RNG.integers(1, 4, 200)
    covdist.moments(X, weights=weights).export(tmp_path / "s.npz", "mom2")
    found = loading.rome(tmp_path / "s.npz", int(weights.sum()))["mom2"]
    assert int(found["count"]) == weights.sum()
    close(found["mom2"], (X * weights[:, None]).T @ X)
