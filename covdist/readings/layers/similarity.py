"""How like each other all layers of a log are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, chain, groupby
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr

from covdist.errors import DataError, PlanError, shown
from covdist.folding.fold import fold_request
from covdist.folding.inputs import check_seed
from covdist.folding.request import IN_TILES, make_request
from covdist.folding.strategy import choose, for_workers
from covdist.given import one_of
from covdist.numerics.blas import with_kernel
from covdist.numerics.matrices.two_sides import CKA, METHODS, Method, figures_of_layers
from covdist.readings.layers.columns import LAYER, side_by_side
from covdist.readings.layers.nodes import nodes_of
from covdist.results.labels import ArrayLike, Axis, Dims, Rows, Weights, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import ask
from covdist.state.projected import Projected

Pairs = Mapping[tuple[str, str], Moments]


@own_names
def similarity(
    log_or_states: xr.DataTree | Mapping[str, ArrayLike] | Pairs | Moments,
    *,
    method: str = "cka",
    var: str = "activation",
    dim: Dims = None,
    by: Rows = None,
    weights: Weights = None,
    missing: str = "raise",
    inf: str = "raise",
    precision: str = "high",
    memory: int | str | None = None,
    directions: int | None = None,
    seed: int = 0,
) -> xr.DataArray:
    """Similarity of all layers of a log with each other, in one pass over their activations for the same samples.

    Parameters
    ----------
    log_or_states : DataTree, mapping or Moments
        A log, as :func:`covdist.open_log` returns it, whose nodes hold the layers as the variable ``var``; or arrays by
        name, such as one layer at several epochs. All have the same samples, in the same order; dims beside them are
        columns, stacked. Or what was folded before: ``covdist.moments(x, y, dim=...)`` by the names of x and y; or the
        moments of all layers' columns side by side, with a coordinate "layer" along them.
    method : str
        "cka" :func:`covdist.cka`; "rv" the same; "cca" the mean of :func:`covdist.cca`; "svcca"
        :func:`covdist.svcca`; "pwcca" :func:`covdist.pwcca`, weighted by the first of the two layers; "procrustes"
        :func:`covdist.procrustes`, a distance.
    var : str
        Variable to read from the nodes of a log.
    dim : str, int or sequence of them, optional
        Sample dims; by default the first of each layer.
    by, weights, missing, inf, precision, memory
        As for :func:`covdist.moments`; ``by`` is a coordinate of the first layer, and gives a matrix for each group.
    directions : int, optional
        Random directions that each layer's columns are projected on, for an estimate by "cka" or "rv"; by default 256
        where the matrix of all columns is too large, else none.
    seed : int
        Of the directions.

    Returns
    -------
    DataArray
        float64, dims ``("layer", "layer_2")``, with those of groups before them; lazy where a layer is. 1 on the
        diagonal (0 of distances), NaN for a layer that is constant and for pairs that there is no state of. An estimate
        has the attributes "directions" and "seed", and its standard errors as a coordinate ``standard_error``.

    Raises
    ------
    DataError
        If layers have other samples, or nothing is there to compare.
    PlanError
        If the matrix of all layers' columns is too large for one state or for ``memory``, and so is the estimate's, or
        ``method`` has none.

    Notes
    -----
    The scatter of all layers' columns side by side is folded once, and its blocks compared. It takes 4 bytes for each
    pair of columns: 151 MB for 12 layers of 512.

    The estimate takes the scatter of the projections, 4 bytes for each pair of all layers' directions, and 8 bytes a
    column and direction for these. Products of a Gaussian direction of each of two layers have the mean square ‖Cxy‖²;
    its error is at most 2/√directions of it where one direction has all the variance, less where many share it, and
    half of it cancels in the ratio. The standard error is by leaving out each direction (Arvesen 1969). States that
    are merged or saved: ``covdist.moments(x, dim=..., state={"name": "projected", "layers": [10000, 10000]})`` of the
    layers' columns side by side, with a coordinate "layer" along them.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> covdist.similarity({"fc1": x, "fc2": np.tanh(x), "fc3": x[:, :2]}).round(2).values
    array([[1.  , 0.92, 0.59],
           [0.92, 1.  , 0.63],
           [0.59, 0.63, 1.  ]])
    """
    one_of("method", method, tuple(METHODS))
    check_seed(seed)
    if isinstance(log_or_states, Moments):
        return read(log_or_states, method)
    if not isinstance(log_or_states, xr.DataTree | Mapping) or not log_or_states:
        found = f"an empty {type(log_or_states).__name__}" if isinstance(log_or_states, Mapping) else log_or_states
        raise DataError(f"similarity compares the layers of a log, found {found!r}: pass a log, or arrays by name")
    if not isinstance(log_or_states, xr.DataTree) and isinstance(next(iter(log_or_states.values())), Moments):
        return _of_pairs(cast(Pairs, log_or_states), method)
    layers: Any = log_or_states
    if isinstance(log_or_states, xr.DataTree):
        layers = {name: node.dataset[var] for name, node in nodes_of(log_or_states, var=var).items()}
    array = side_by_side(layers, dim)
    options: dict[str, Any] = {
        "dim": list(array.dims[:-1]), "by": by, "weights": weights, "missing": missing, "inf": inf,
        "precision": precision, "memory": memory,
    }  # fmt: skip
    request = for_workers(make_request(array, **options))
    chosen, reason = choose(request) if directions is None else (IN_TILES, "an estimate was asked for")
    if chosen == IN_TILES:
        if METHODS[method] is not CKA:
            raise PlanError(
                f"method={method!r} takes one matrix of the {array.shape[-1]:,} columns of {len(layers):,} layers, "
                f"found that {reason}: pass method='cka', which can be estimated, or fewer columns, such as by "
                "covdist.project"
            )
        _, sizes = zip(*_runs(array[LAYER].values), strict=True)
        state = Projected(sizes, Projected.directions if directions is None else directions, seed)
        request = for_workers(make_request(array, state=state, **options))
    return read(fold_request(request), method)


def read(m: Moments, method: str = "cka") -> xr.DataArray:
    """Read it off the moments of all layers' columns, which a coordinate "layer" tells apart."""
    one_of("method", method, tuple(METHODS))
    whose = m.layout.axes[0].coords.get(LAYER) if len(m.layout.axes) == 1 else None
    if whose is None:
        raise DataError(
            f"similarity tells layers apart by a coordinate {LAYER!r} along the columns, found a {m.layout.describe()} "
            "without it: pass the log, arrays by name, or moments of such columns"
        )
    names, sizes = zip(*_runs(whose), strict=True)
    if len(set(names)) < len(names):
        raise DataError(
            f"the columns of a layer lie apart: sort them by {LAYER!r} first, such as by x.sortby({LAYER!r})"
        )
    axes = _axes(np.array(names))
    if m.can_answer("projected_alignment"):
        return _estimated(m, method, axes, sizes)
    ends = tuple(accumulate(sizes))
    found = m.asking("correlation")
    return found.read(figures_of_layers, axes, ends, METHODS[method], name="similarity", attrs=_attrs(method))


def _runs(whose: np.ndarray) -> Iterator[tuple[str, int]]:
    """Yield the layer of each run of columns, and how many they are."""
    return ((name, len(list(columns))) for name, columns in groupby(whose.tolist()))


def _estimated(m: Moments, method: str, axes: list[Axis], sizes: tuple[int, ...]) -> xr.DataArray:
    """Read it off the layers' projections, with standard errors beside it."""
    state = cast(Projected, m.layout.state)
    if METHODS[method] is not CKA:
        raise DataError(
            f"method={method!r} takes the matrix of all columns, found projections of layers: pass method='cka', or "
            "fold the columns without state='projected'"
        )
    if state.layers != sizes:
        raise DataError(
            f"the coordinate {LAYER!r} has layers of {_listed(sizes)} columns, the state is of "
            f"{_listed(state.layers)}: fold the columns with the layers that the coordinate names"
        )
    both = m.read("projected_alignment", [Axis("figure", 2), *axes])
    found, error = (both.isel(figure=number, drop=True) for number in range(2))
    about = {"long_name": "standard error of the similarity", "units": "1"}
    estimate = {"directions": int(state.directions), "seed": int(state.seed)}
    result = found.rename("similarity").assign_attrs(_attrs(method) | estimate)
    return result.assign_coords(standard_error=(error.dims, error.data, about))


def _axes(names: np.ndarray) -> list[Axis]:
    return [Axis(dim, len(names), {dim: names}) for dim in (LAYER, f"{LAYER}_2")]


def _listed(sizes: tuple[int, ...]) -> str:
    return shown(", ".join(map(str, sizes)) or "one layer's")


def _attrs(method: str) -> dict[str, object]:
    return {"long_name": "similarity of layers", "method": method, "units": "1", "kernel": with_kernel()}


def _of_pairs(states: Pairs, method: str) -> xr.DataArray:
    """Read it off states of two layers each."""
    for pair, m in states.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(m, Moments)):
            raise DataError(
                f"states are given by the names of their two layers, found {pair!r}: pass a mapping such as "
                "{('fc1', 'fc2'): covdist.moments(x, y, dim=...)}"
            )
    names = list(dict.fromkeys(chain.from_iterable(states)))
    groups = [m.layout.groups for m in states.values()]
    first = groups[0]
    if any(each is not first and (each is None or first is None or not each.same(first)) for each in groups):
        raise DataError("the states of pairs of layers have different groups: fold all of them by the same ones")
    two = [Axis(None, 2), Axis(None, 2)]
    found: dict[tuple[int, int], Any] = {}
    for pair, m in states.items():
        values = m.asking("two_sides").values(_figures, two, METHODS[method])
        places = [names.index(name) for name in pair]
        found |= {(i, j): values[..., a, b] for a, i in enumerate(places) for b, j in enumerate(places)}
    nothing = np.full(() if first is None else first.size, np.nan)
    rows = [[found.get((i, j), nothing) for j in range(len(names))] for i in range(len(names))]
    lazy = any(isinstance(each, da.Array) for each in found.values())
    stack: Any = da.stack if lazy else np.stack
    data = stack([stack(row, axis=-1) for row in rows], axis=-2)
    return labelled(data, _axes(np.array(names)), first, "similarity", _attrs(method))


def _figures(state: object, method: Method) -> object:
    return cast(Any, ask(cast(Any, state), "two_sides")).figures(method)
