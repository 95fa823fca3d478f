"""Covariance, variance and gradient statistics of neural-network logs, reduced once and read many times."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from covdist import plugins

if TYPE_CHECKING:  # the names below are found without this list; it is for type checkers
    from covdist import plot as plot
    from covdist.engine.plan import Plan as Plan
    from covdist.errors import CovdistError as CovdistError
    from covdist.folding.grouping import bins as bins
    from covdist.growth.update import update as update
    from covdist.jobs.job import Job as Job
    from covdist.jobs.submitting import submit as submit
    from covdist.logs.opening import open_log as open_log
    from covdist.page.report import report as report
    from covdist.readings.autocov import autocov as autocov
    from covdist.readings.corr import corr as corr
    from covdist.readings.cov import cov as cov
    from covdist.readings.dependence.distance_corr import distance_corr as distance_corr
    from covdist.readings.dependence.hsic import hsic as hsic
    from covdist.readings.dependence.maximal_corr import maximal_corr as maximal_corr
    from covdist.readings.distributions.bhattacharyya import bhattacharyya as bhattacharyya
    from covdist.readings.distributions.compare import compare as compare
    from covdist.readings.distributions.coral import coral as coral
    from covdist.readings.distributions.direction_coverage import direction_coverage as direction_coverage
    from covdist.readings.distributions.equal_covariance import equal_covariance as equal_covariance
    from covdist.readings.distributions.frechet import frechet as frechet
    from covdist.readings.distributions.jeffreys import jeffreys as jeffreys
    from covdist.readings.distributions.kl_divergence import kl_divergence as kl_divergence
    from covdist.readings.distributions.mean_shift import mean_shift as mean_shift
    from covdist.readings.eigenvalues.effective_rank import effective_rank as effective_rank
    from covdist.readings.eigenvalues.marchenko_pastur_edge import marchenko_pastur_edge as marchenko_pastur_edge
    from covdist.readings.eigenvalues.participation_ratio import participation_ratio as participation_ratio
    from covdist.readings.eigenvalues.power_law import power_law as power_law
    from covdist.readings.eigenvalues.rankme import rankme as rankme
    from covdist.readings.eigenvalues.stable_rank import stable_rank as stable_rank
    from covdist.readings.estimates.between import between as between
    from covdist.readings.estimates.condition_number import condition_number as condition_number
    from covdist.readings.estimates.logdet import logdet as logdet
    from covdist.readings.estimates.partial_corr import partial_corr as partial_corr
    from covdist.readings.estimates.precision import precision as precision
    from covdist.readings.estimates.second_moment import second_moment as second_moment
    from covdist.readings.estimates.shrink import shrink as shrink
    from covdist.readings.estimates.within import within as within
    from covdist.readings.fill import fill as fill
    from covdist.readings.gradients.gradient_cosine import gradient_cosine as gradient_cosine
    from covdist.readings.gradients.gradient_stats import gradient_stats as gradient_stats
    from covdist.readings.gradients.health import health as health
    from covdist.readings.gradients.noise_scale import noise_scale as noise_scale
    from covdist.readings.gradients.redundant import redundant as redundant
    from covdist.readings.gradients.sign_agreement import sign_agreement as sign_agreement
    from covdist.readings.interventions.ekfac import ekfac as ekfac
    from covdist.readings.interventions.ekfac_scale import ekfac_scale as ekfac_scale
    from covdist.readings.interventions.erase import erase as erase
    from covdist.readings.interventions.initial_scale import initial_scale as initial_scale
    from covdist.readings.interventions.kfac import kfac as kfac
    from covdist.readings.interventions.leace import leace as leace
    from covdist.readings.interventions.prune import prune as prune
    from covdist.readings.kurtosis import kurtosis as kurtosis
    from covdist.readings.layers.cca import cca as cca
    from covdist.readings.layers.cka import cka as cka
    from covdist.readings.layers.procrustes import procrustes as procrustes
    from covdist.readings.layers.pwcca import pwcca as pwcca
    from covdist.readings.layers.rv_coefficient import rv_coefficient as rv_coefficient
    from covdist.readings.layers.similarity import similarity as similarity
    from covdist.readings.layers.svcca import svcca as svcca
    from covdist.readings.moments import moments as moments
    from covdist.readings.plan import plan as plan
    from covdist.readings.rows.mahalanobis import mahalanobis as mahalanobis
    from covdist.readings.rows.project import project as project
    from covdist.readings.rows.standardise import standardise as standardise
    from covdist.readings.rows.whiten import whiten as whiten
    from covdist.readings.skewness import skewness as skewness
    from covdist.readings.spectrum import spectrum as spectrum
    from covdist.readings.std import std as std
    from covdist.readings.uncertainty.corr_interval import corr_interval as corr_interval
    from covdist.readings.uncertainty.effective_sample_size import effective_sample_size as effective_sample_size
    from covdist.readings.uncertainty.jackknife import jackknife as jackknife
    from covdist.readings.var import var as var
    from covdist.readings.windows.autocorr import autocorr as autocorr
    from covdist.readings.windows.autocorr_time import autocorr_time as autocorr_time
    from covdist.readings.windows.expanding import expanding as expanding
    from covdist.readings.windows.rolling import rolling as rolling
    from covdist.record.recorder import Recorder as Recorder
    from covdist.results.load import load as load
    from covdist.results.moments import Moments as Moments
    from covdist.results.saving import export as export

__version__ = "0.1.0"

_HOMES = {
    "CovdistError": "covdist.errors",
    "Job": "covdist.jobs.job",
    "Moments": "covdist.results.moments",
    "Plan": "covdist.engine.plan",
    "Recorder": "covdist.record.recorder",
    "bins": "covdist.folding.grouping",
    "export": "covdist.results.saving",
    "load": "covdist.results.load",
    "open_log": "covdist.logs.opening",
    "report": "covdist.page.report",
    "submit": "covdist.jobs.submitting",
    "update": "covdist.growth.update",
}

_PLOTS = "plot"

logging.getLogger("covdist").addHandler(logging.NullHandler())


if not TYPE_CHECKING:

    def __getattr__(name):
        # Lazily, so that `import covdist` and `covdist --help` stay quick; a reading is found by its file's name.
        if name == "__all__":
            return __dir__()
        if name.startswith("_"):
            raise AttributeError(f"module 'covdist' has no attribute {name!r}")
        if name == _PLOTS:
            return importlib.import_module(f"covdist.{_PLOTS}")
        try:
            home = importlib.import_module(_HOMES[name]) if name in _HOMES else plugins.find("readings", name)
            return getattr(home, name)
        except (LookupError, AttributeError):
            raise AttributeError(f"module 'covdist' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    readings = [name for name in plugins.names("readings") if hasattr(plugins.find("readings", name), name)]
    return sorted([*_HOMES, _PLOTS, *readings])
