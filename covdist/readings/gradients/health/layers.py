"""``health``: every layer of a log in numbers, flags and words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown
from covdist.folding.asking import asked
from covdist.folding.request import IN_MEMORY, Request, make_request
from covdist.given import choices
from covdist.readings.gradients.health.questions import OfActivations, OfGradients
from covdist.readings.gradients.health.states import check_rows_unasked, health_of_states, states_of
from covdist.readings.gradients.health.table import HealthTable, labelled_table, shared_groups
from covdist.readings.gradients.health.verdicts import Thresholds, bounds_of
from covdist.readings.layers.nodes import nodes_of
from covdist.results.labelled_state import LabelledState
from covdist.results.labels import Dims, Rows
from covdist.results.names import own_names
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

_SAMPLES, _EPOCH = ("step", "sample"), "epoch"


@own_names
def health(
    log: xr.DataTree | Mapping[str, LabelledState],
    *,
    dim: Dims = None,
    by: Rows = None,
    layers: Sequence[str] | None = None,
    gradient: str = "gradient",
    activation: str = "activation",
    vanishing: float = Thresholds.vanishing,
    exploding: float = Thresholds.exploding,
    redundant: float = Thresholds.redundant,
    saturated: float = Thresholds.saturated,
    share: float = Thresholds.share,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    max_columns: int = 4096,
) -> xr.Dataset:
    """What is wrong with each layer of a network: numbers, flags, and sentences on what to change.

    Parameters
    ----------
    log : DataTree, or mapping {path: Moments}
        As :func:`covdist.open_log` returns it: a node a layer, with gradients, activations or both. Or moments of them
        as :func:`covdist.load` returns those of a result, by paths such as "fc1/gradient": they have their rows and
        groups, so that ``dim`` and ``by`` are not for them.
    dim : str or sequence of str, optional
        Sample dims of both; by default "step" and "sample" where a variable has them, else its first.
    by : str, Bins or sequence of them, optional
        Coordinates to group by: the numbers of each group. By default "epoch", where all variables have it along their
        samples; () takes all rows together.
    layers : sequence of str, optional
        Paths of layers ("root" for arrays at the log's root), from the input to the output; by default all, in the
        order of the log, in which numbers count as numbers where names are sorted: layer10 comes after layer9.
    gradient, activation : str
        Names of the variables.
    vanishing, exploding : float
        A gradient so many times that of the last layer is flagged; 1/100 and 100 by default.
    redundant : float
        A unit whose correlation with an earlier one is beyond this, with either sign, repeats it; 0.99 by default.
    saturated : float
        A unit whose mean slope is below this share of the steepest is saturated; 1/20 by default.
    share : float
        Layers with more than this share of their units dead, saturated or redundant are flagged; 1/10 by default.
    bounds : mapping of str to (float, float), optional
        The range of the activation function by layer, or by a glob of layers, such as ``{"fc*": (-1, 1)}`` for tanh:
        without it no layer is said to be saturated.
    max_columns : int
        Of layers with more units no correlations are taken, and ``redundant_share`` is NaN.

    Returns
    -------
    Dataset
        Along ``layer``, and the groups where there are any, of gradients pooled over steps and parameters ``rms``,
        ``mean``, ``std``, ``snr`` and ``zero_fraction``, as :func:`covdist.gradient_stats` has them; ``relative``, the
        rms over that of the last layer; ``parameters``; of activations ``units`` and ``dead_share``,
        ``saturated_share``, ``redundant_share``; ``gradient_nonfinite`` and ``activation_nonfinite``, how many values
        are NaN or infinite. Flags, bool: ``vanishing``, ``exploding``, ``no_gradient``, ``dead``, ``saturated``,
        ``redundant``, ``not_finite``. ``verdict``, str: "ok", what its gradient suffers from, or else its activations,
        or "unknown". Of the network ``per_layer``, the factor from one layer's gradient to that of the layer before it
        by least squares of log rms over depth, with ``per_layer_error``, the standard error of its logarithm; and
        ``advice``, str, sentences on what to change, a line each. NaN, 0 and False where the log has nothing to tell
        them from. Lazy where the log is.

    Raises
    ------
    DataError
        If the log has neither variable, or lacks one that was named, or layers, dims, coordinates or thresholds do not
        fit.

    Notes
    -----
    Rows with NaN or infinity are counted and left out of all else. A dead unit has the same value for every sample,
    mostly 0. Where an activation function has the range c ± h and the slope 1 - ((a - c)/h)² of its steepest, as tanh
    and the logistic function have, its mean slope is 1 - E[(a - c)²]/h². The thresholds are conventions: two orders of
    magnitude, where Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural
    networks, show gradients that shrink layer by layer; r² = 0.98; and a twentieth of the slope.

    Examples
    --------
    >>> import numpy as np, xarray as xr, covdist
    >>> rng = np.random.default_rng(0)
    >>> sizes = {"fc1": 1e-6, "fc2": 1e-3, "head": 1.0}
    >>> log = xr.DataTree.from_dict({
    ...     name: xr.Dataset({"gradient": (("step", "param"), size * rng.normal(size=(50, 8)))})
    ...     for name, size in sizes.items()
    ... })
    >>> found = covdist.health(log)
    >>> found["vanishing"].values
    array([ True,  True, False])
    >>> print(found["advice"].item())
    Gradients shrink 967.5x per layer on their way back to fc1: use Glorot or He initialisation, or normalisation.
    """
    thresholds = Thresholds(vanishing, exploding, redundant, saturated, share)
    if isinstance(log, Mapping) and not isinstance(log, xr.DataTree):
        check_rows_unasked(dim, by)
        states = states_of(log, gradient=gradient, activation=activation)
        names = _in_order(list(states), layers)
        ranges = _checked(bounds or {}, names)
        in_order = {layer: (states[layer], bounds_of(layer, ranges)) for layer in names}
        return health_of_states(in_order, thresholds)
    if not isinstance(log, xr.DataTree):
        raise DataError(
            f"health reads a log, found a {type(log).__name__}: pass the DataTree that covdist.open_log(path) returns"
        )
    nodes = nodes_of(log, gradient=gradient, activation=activation)
    names = _in_order(list(nodes), layers)
    ranges = _checked(bounds or {}, names)
    by = _epochs((nodes[layer].dataset for layer in names), (gradient, activation)) if by is None else by
    requests, questions = dict[str, Request](), dict[str, Any]()
    for layer in names:
        for kind, variable in enumerate((gradient, activation)):
            if variable in (node := nodes[layer]).data_vars:
                state = Variances if kind == 0 else None
                request = request_of(node.dataset[variable], f"{node.path}/{variable}", dim, by, max_columns, state)
                groups = 1 if request.groups is None else request.groups.size
                path = f"{layer}/{kind}"
                requests[path] = request
                of_units = OfActivations(groups, redundant, saturated, bounds_of(layer, ranges))
                questions[path] = OfGradients(groups) if kind == 0 else of_units
    shared = shared_groups({path: request.groups for path, request in requests.items()})
    return labelled_table(HealthTable(names, shared, thresholds), asked(requests, questions))


def _in_order(found: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """Return the layers from the input to the output, those that are ``given`` or all."""
    if given is None:
        return sorted(found, key=_natural) if found == sorted(found, key=_parts) else list(found)
    asked_for = [str(name).strip("/") for name in ([given] if isinstance(given, str) else given)]
    for name in asked_for:
        if name not in found or asked_for.count(name) > 1:
            what = "is named twice" if name in found else "is no layer of the log"
            raise DataError(f"{shown(name)!r} {what}: pass some of {choices(name, found, shown, 20)}")
    return asked_for


def _parts(path: str) -> list[str]:
    return path.split("/")


def _natural(path: str) -> list[list[tuple[bool, int, str]]]:
    runs = (re.split(r"(\d+)", part) for part in _parts(path))
    return [[(run.isdecimal(), int(run) if run.isdecimal() else 0, run) for run in each] for each in runs]


def _epochs(nodes: Iterable[xr.Dataset], variables: tuple[str, str]) -> Rows:
    """Return "epoch" where all variables have such a coordinate along their samples, else nothing to group by."""
    arrays = [node[name] for node in nodes for name in variables if name in node.data_vars]
    return _EPOCH if all(map(_has_epochs, arrays)) else ()


def _has_epochs(x: xr.DataArray) -> bool:
    """Return whether rows have epochs, maybe by a name with that of a dim that this variable alone has."""
    names = {_EPOCH, *(f"{dim}_{_EPOCH}" for dim in x.dims)} & x.coords.keys()
    return any(x.coords[name].ndim for name in names)


def _checked(bounds: Mapping[str, tuple[float, float]], names: Sequence[str]) -> Mapping[str, tuple[float, float]]:
    for pattern, pair in bounds.items():
        if len(pair) != 2 or not -np.inf < pair[0] < pair[1] < np.inf:
            raise DataError(f"bounds of {pattern!r} are {pair!r}: pass two finite numbers, the lower one first")
        if not any(bounds_of(name, {pattern: pair}) for name in names):
            raise DataError(f"bounds name {pattern!r}, which no layer matches: there are {', '.join(names[:20])}")
    return bounds


def request_of(x: xr.DataArray, name: str, dim: Dims, by: Rows, most: int, state: Any) -> Request:
    wanted: Any = _SAMPLES if dim is None else [dim] if isinstance(dim, str) else dim
    dims = [each for each in x.dims if each in wanted] or list(x.dims[:1] if dim is None else wanted)
    if state is None:
        rows = int(np.prod([x.sizes[each] for each in dims if each in x.sizes]))
        state = Scatter if x.size <= most * rows else Variances
    return make_request(
        x.rename(name.strip("/")),
        dim=dims,
        by=None if by == () else by,
        state=state,
        missing="drop",
        inf="missing",
        matrix=IN_MEMORY,
    )
