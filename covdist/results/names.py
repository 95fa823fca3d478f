"""Options by the names that numpy, pandas and others have for them: a sentence says what covdist calls them."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Collection, Mapping
from numbers import Real
from typing import Any, ParamSpec, TypeVar

from covdist.errors import DataError

P = ParamSpec("P")
R = TypeVar("R")
Advice = Callable[[Any, Collection[str]], str]  # of the value given, and the parameters that there are


def own_names(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse options by other libraries' names, and a ``ddof`` that is not a number, with what to pass instead."""
    known = inspect.signature(function)
    names, kinds = {*known.parameters}, {each.kind for each in known.parameters.values()}
    if {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds:
        return function  # passes all on to another, which looks at them
    if inspect.Parameter.VAR_KEYWORD in kinds:
        names |= {"missing", "weights"}  # options that are passed on
    place = _place_of_ddof(known)
    name = function.__name__ if function.__name__ != "read" else function.__module__.rpartition(".")[2]

    @functools.wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> R:
        if not options.keys() <= names:
            _check_names(name, options, names)
        if "ddof" in options:
            _check_ddof(options["ddof"])
        elif place < len(arguments):
            _check_ddof(arguments[place])
        return function(*arguments, **options)

    return checked


def _check_names(function: str, options: Mapping[str, Any], known: Collection[str]) -> None:
    for option, value in options.items():
        if option not in known and option in _ADVICE:
            raise DataError(f"{function} has no option {option}: {_ADVICE[option](value, known)}")


def _place_of_ddof(known: inspect.Signature) -> int:
    """Return where a ``ddof`` stands among the arguments: beyond all if it has to be named, or there is none."""
    if "ddof" not in known.parameters or known.parameters["ddof"].kind is inspect.Parameter.KEYWORD_ONLY:
        return sys.maxsize
    return list(known.parameters).index("ddof")


def _check_ddof(given: Any) -> None:
    if not isinstance(given, Real) or not math.isfinite(given):
        raise DataError(
            f"ddof={given!r} is not a number: leave it out for 0, which divides by N, or pass 1 for N - 1, as "
            "numpy.cov and pandas do by default"
        )


# ---- what to pass instead


def _dim(value: Any, known: Collection[str]) -> str:
    return f"covdist calls it dim, pass dim={value!r} if samples run along that axis; dim=0 is the default"


def _rowvar(value: Any, known: Collection[str]) -> str:
    if value:
        return "pass dim=1 where each row is a variable, or the transposed array"
    return "leave it out, each column is a variable and each row a sample (dim=0)"


def _bias(value: Any, known: Collection[str]) -> str:
    if "ddof" not in known:
        return "leave it out, the result is that of the population, as with bias=True"
    return "leave it out, or pass ddof=0, which divides by N" if value else "pass ddof=1, which divides by N - 1"


def _ddof(value: Any, known: Collection[str]) -> str:
    return "leave it out, nothing here is divided by N - ddof, or it cancels"


def _correction(value: Any, known: Collection[str]) -> str:
    return f"covdist calls it ddof, pass ddof={value!r}" if "ddof" in known else _ddof(value, known)


def _weights(kind: str, meaning: str) -> Advice:
    def advice(value: Any, known: Collection[str]) -> str:
        if "weights" not in known:
            return _unweighted(value, known)
        return f"covdist calls it weights, {meaning}, or pass weights={{{kind!r}: ...}}"

    return advice


def _unweighted(value: Any, known: Collection[str]) -> str:
    return "rows have no weights here, leave it out, or pass weights to covdist.moments and read the result from that"


def _skipna(value: Any, known: Collection[str]) -> str:
    if "missing" not in known:
        return "what NaN does is chosen when rows are folded, pass missing to covdist.moments"
    if value:
        return "pass missing='drop', or missing='pairwise' for what each pair of columns has, as pandas does"
    return "pass missing='propagate', which lets NaN into the results of its columns"


def _min_periods(value: Any, known: Collection[str]) -> str:
    return "it is an option of covdist.cov and covdist.corr under missing='pairwise', compare .count with it here"


def _always(advice: str) -> Advice:
    return lambda value, known: advice


_FREQUENCY = _weights("frequency", "where integers say how often a row counts")
_RELIABILITY = _weights("reliability", "where floats say how far a row is trusted")
_MISSING = _always("covdist calls it missing, pass missing='raise', 'propagate', 'drop' or 'pairwise'")
_ADVICE: Mapping[str, Advice] = {
    "axis": _dim,
    "rowvar": _rowvar,
    "bias": _bias,
    "ddof": _ddof,
    "correction": _correction,
    "fweights": _FREQUENCY,
    "aweights": _RELIABILITY,
    "sample_weight": _RELIABILITY,
    "weights": _unweighted,
    "skipna": _skipna,
    "nan_policy": _MISSING,
    "dropna": _skipna,
    "min_periods": _min_periods,
    "keepdims": _always("results have names for their dims, use .expand_dims(...) on the result"),
    "dtype": _always("sums are float64 whatever the array's dtype, use .astype(...) on the result"),
    "numeric_only": _always("choose columns beforehand, such as with .select_dtypes('number')"),
    "out": _always("leave it out, the result is a new DataArray"),
    "where": _always("give rows weights of 0 and 1, or set values to NaN and pass missing"),
    "fisher": _always("leave it out, kurtosis is the excess, 0 for a Gaussian, as with fisher=True"),
    "groupby": _always("covdist calls it by, pass a coordinate's name or one value per sample"),
}
