"""A script as somebody who types their own code would write it: never run, read by mypy (and pyright) in strict mode.

``assert_type`` refuses Any, so whatever stands here has a type of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

import covdist
from covdist import CovdistError, Job, Moments, Recorder
from covdist.jobs.job import JobStatus

Array = NDArray[np.float64]


def record(path: Path, activation: Array) -> None:
    with covdist.Recorder(path, mode="x", chunk_bytes=1 << 20, per_step=("gradient",)) as recorder:
        assert_type(recorder, Recorder)
        if recorder.wants(0, "fc1/activation"):
            recorder.log(0, {"fc1/activation": activation}, epoch=0)
        recorder.flush()
    recorder.close()


def open_one(path: Path) -> xr.DataArray:
    log = covdist.open_log(path, missing_chunks="fill")
    assert_type(log, xr.DataTree)
    return log["fc1"].dataset["activation"]


def go_on(log: Path, result: Path) -> None:
    assert_type(covdist.update(log, result), Moments | dict[str, Moments])


def read_once(x: xr.DataArray, y: Array, lazy: da.Array) -> None:
    assert_type(covdist.cov(x, dim="sample", ddof=1), xr.DataArray)
    assert_type(covdist.cov(x, y, dim="sample", weights=[1.0, 2.0]), xr.DataArray)
    assert_type(covdist.cov(x, matrix="tiles", memory="3GiB"), xr.DataArray)
    assert_type(covdist.cov(x, y, dim="sample", pairs="columns"), xr.DataArray)
    assert_type(covdist.corr(x, dim="sample", missing="pairwise", min_periods=2), xr.DataArray)
    assert_type(covdist.var(lazy, dim=0), xr.DataArray)
    assert_type(covdist.std(lazy, dim=0), xr.DataArray)
    assert_type(covdist.cov(x, dim="sample", each=("h", "w")), xr.DataArray)
    assert_type(covdist.fill(x, method="interpolate", dim="sample"), xr.DataArray)
    assert_type(covdist.moments(x, by=(covdist.bins("step", 10), "label")), Moments)
    assert_type(covdist.moments(x, by=covdist.bins(y, width=0.5)), Moments)
    assert_type(covdist.spectrum(x, 20, dim="sample", method="auto"), xr.Dataset)
    assert_type(covdist.gradient_stats(y), xr.Dataset | xr.DataTree)
    assert_type(covdist.skewness(x, dim="sample"), xr.DataArray)
    assert_type(covdist.kurtosis(lazy), xr.DataArray)
    assert_type(covdist.autocov(x, 3, dim="sample", ddof=1, estimator="reversible"), xr.DataArray)


def read_often(x: xr.DataArray, y: Array) -> Moments:
    m = covdist.moments(x, y, dim="sample", by="epoch", precision="fast")
    assert_type(m, Moments)
    assert_type(m.compute(scheduler="threads"), Moments)
    assert_type(m.persist(), Moments)
    assert_type(m.count, xr.DataArray)
    assert_type(m.rows, xr.DataArray)
    assert_type(m.mean(), xr.DataArray)
    assert_type(m.var(ddof=1), xr.DataArray)
    assert_type(m.std(), xr.DataArray)
    assert_type(m.cov(ddof=1), xr.DataArray)
    assert_type(m.corr(), xr.DataArray)
    assert_type(m.spectrum(3), xr.Dataset)
    assert_type(m.smallest_eigenvalue(), xr.DataArray)
    assert_type(m.gradient_cosine(), xr.Dataset)
    assert_type(covdist.gradient_cosine({"fc1": m}), xr.Dataset)
    assert_type(m.gradient_stats(), xr.Dataset)
    assert_type(m.redundant(), xr.Dataset)
    m.report("report.html", gradient="grad")
    covdist.report({"fc1/activation": m}, "report.html", scheduler="threads")
    assert_type(m.noise_scale(batch_size=8), xr.Dataset)
    assert_type(m.sign_agreement(), xr.Dataset)
    assert_type(m.skewness(), xr.DataArray)
    assert_type(m.kurtosis(), xr.DataArray)
    assert_type(m.autocov(ddof=1), xr.DataArray)
    assert_type(m.second_moment(divide=False, append_one=True), xr.DataArray)
    assert_type(covdist.second_moment(m), xr.DataArray)
    assert_type(m.cka(debiased=True), xr.DataArray)
    assert_type(covdist.cca(m, ridge=0.1), xr.DataArray)
    assert_type(covdist.svcca(m, explained=0.9), xr.DataArray)
    assert_type(m.pwcca(), xr.DataArray)
    assert_type(covdist.procrustes(m), xr.DataArray)
    assert_type(covdist.rv_coefficient(m), xr.DataArray)
    assert_type(covdist.similarity({"fc1": x, "fc2": x}, method="cca"), xr.DataArray)
    assert_type(m.similarity(), xr.DataArray)
    assert_type(m.precision(ddof=1, shrink="oas"), xr.DataArray)
    assert_type(m.partial_corr(), xr.DataArray)
    assert_type(m.logdet(), xr.DataArray)
    assert_type(m.condition_number(shrink="rblw"), xr.DataArray)
    assert_type(m.within("label").cov(), xr.DataArray)
    assert_type(covdist.between(m, "label"), Moments)
    assert_type(m.rolling("step", 100, min_periods=1).cov(), xr.DataArray)
    assert_type(covdist.expanding(m, "epoch"), Moments)
    assert_type(covdist.moments(x, dim="sample", blocks=32), Moments)
    assert_type(m.jackknife("cov", ddof=1, level=0.9), xr.Dataset)
    assert_type(m.jackknife(lambda part: part.spectrum(3)["eigenvalue"]), xr.Dataset)
    assert_type(covdist.jackknife(m, "corr"), xr.Dataset)
    assert_type(covdist.corr(x, dim="sample", method="spearman"), xr.DataArray)
    assert_type(covdist.distance_corr(x, y, dim="sample"), xr.DataArray)
    assert_type(covdist.hsic(x, y, dim="sample", bandwidth=(1.0, 2.0)), xr.Dataset)
    assert_type(covdist.maximal_corr(x, dim="sample", features=4), xr.DataArray)
    assert_type(m.corr_interval(level=0.9), xr.Dataset)
    assert_type(m.effective_sample_size(), xr.DataArray)
    assert_type(m.autocorr(), xr.DataArray)
    assert_type(covdist.autocorr_time(m), xr.DataArray)
    assert_type(covdist.whiten(x, m, method="pca", shrink="oas"), xr.DataArray)
    assert_type(covdist.standardise(y, m), xr.DataArray)
    assert_type(covdist.mahalanobis(x, m, dim="sample"), xr.DataArray)
    assert_type(covdist.project(x, m.spectrum(3)), xr.DataArray)
    assert_type(covdist.frechet(m, m, ddof=1, bias="extrapolate"), xr.DataArray)
    assert_type(covdist.kl_divergence(m, m, shrink="oas"), xr.DataArray)
    assert_type(covdist.jeffreys(m, m), xr.DataArray)
    assert_type(covdist.bhattacharyya(m, m), xr.DataArray)
    assert_type(covdist.compare(m, m), xr.Dataset)
    assert_type(covdist.coral(m, m), xr.DataArray)
    assert_type(covdist.direction_coverage(m, m, threshold=0.2), xr.Dataset)
    assert_type(covdist.mean_shift(m, m, ddof=2), xr.Dataset)
    assert_type(covdist.equal_covariance(m, m, permutations=99), xr.Dataset)
    assert_type(covdist.kfac(m, m, damping=1e-3, append_one=False), xr.Dataset)
    assert_type(covdist.ekfac_scale(x, x, covdist.ekfac(m, m), dim="sample"), xr.DataArray)
    assert_type(covdist.initial_scale({"fc1": m}, target=2.0, order=["fc1"]), xr.Dataset)
    assert_type(m.initial_scale(), xr.Dataset)
    assert_type(m.prune(y, share=0.3, damping=0.01), xr.Dataset)
    assert_type(covdist.prune(m, x, units=["a", "b"], append_one=False), xr.Dataset)
    assert_type(m.leace(m, shrink="ols"), xr.Dataset)
    assert_type(covdist.erase(x, covdist.leace(m, m)), xr.DataArray)
    assert_type(m.rankme(), xr.DataArray)
    assert_type(m.power_law(), xr.Dataset)
    m.plot(order="given").set_title("mine")
    m.plot.spectrum(k=3)
    covdist.plot.gradients({"fc1": m}, vanishing=0.001)
    assert_type(covdist.effective_rank(m), xr.DataArray)
    assert_type(covdist.health(xr.DataTree(), bounds={"fc*": (-1.0, 1.0)}), xr.Dataset)
    assert_type(covdist.redundant(m, threshold=0.9), xr.Dataset)
    assert_type(m.marchenko_pastur_edge(), xr.DataArray)
    assert_type(m.participation_ratio(), xr.DataArray)
    assert_type(m.stable_rank(), xr.DataArray)
    assert_type(covdist.shrink(m, "ols"), xr.DataArray)
    assert_type(m.scaled(0.5), Moments)
    assert_type(m.sel(epoch=3), Moments)
    assert_type(m.x, Moments)
    assert_type(m.y, Moments)
    assert_type(m.dataset, xr.Dataset)
    assert_type(m.layout.kind, str)
    m.save("fc1.zarr")
    m.sel(epoch=3).export("fc1.npz", "fid")
    covdist.export({"fc1/input": m}, Path("factors"), "kronfluence", bias="*")
    return m.merge("epoch").merge(m) + m


def loaded(path: Path) -> int:
    found = covdist.load(path)
    assert_type(found, Moments | dict[str, Moments])
    assert_type(covdist.load(path, "fid", count=50_000), Moments | dict[str, Moments])
    states = {"": found} if isinstance(found, Moments) else found
    return sum(int(state.count) for state in states.values())


def planned(x: xr.DataArray) -> bool:
    plan = covdist.plan(x, dim="sample", variances_only=True)
    assert_type(plan, covdist.Plan)
    assert_type(plan.shards, int)
    assert_type(plan.fan_in, int)
    assert_type(plan.depth, int)
    assert_type(plan.tasks, int)
    assert_type(plan.strips, int)
    assert_type(plan.strategy, str)
    assert_type(plan.reason, str)
    assert_type(plan.refusal, str)
    assert_type(plan.strategies, tuple[covdist.Plan, ...])
    assert_type(plan.way, str)
    assert_type(plan.why, str)
    assert_type(plan.ways, tuple[covdist.Plan, ...])
    assert_type(plan.bytes_read, int)
    assert_type(plan.bytes_moved, int)
    assert_type(plan.bytes_written, int)
    assert_type(plan.state_bytes, int)
    assert_type(plan.shard_bytes, int)
    assert_type(plan.peak_bytes, int)
    assert_type(plan.flops, float)
    assert_type(plan.core_seconds, float)
    assert_type(plan.seconds_here, float)
    assert_type(plan.rows_of_text(), list[tuple[str, str]])
    plan.check(4 << 30)
    return plan.peak_bytes < 1 << 30


def submitted(path: Path) -> Moments | dict[str, Moments]:
    try:
        job = covdist.submit(path, job="jobs/1", layer="fc*", by="epoch")
    except CovdistError as error:
        raise SystemExit(str(error)) from error
    assert_type(job, Job)
    assert_type(job.id, str)
    assert_type(job.path, str)
    assert_type(job.status(), JobStatus)
    assert_type(job.status()["status"], str)
    assert_type(job.wait(60.0), Job)
    assert_type(job.result(), Moments | dict[str, Moments])
    assert_type(job.cancel(), bool)
    job.deliver("result.zarr")
    return covdist.Job("jobs/1").result()


assert_type(covdist.__version__, str)
