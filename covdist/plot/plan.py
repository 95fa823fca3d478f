"""What a run would read, hold and write, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import DataError, shown
from covdist.plot._canvas import BLUE, ORANGE, drawn, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covdist.plot._canvas import Picture

_BYTES = {
    "bytes_read": "read", "peak_bytes": "held by a worker", "state_bytes": "one state", "bytes_moved": "moved",
    "bytes_written": "written",
}  # fmt: skip
_ADD_UP = "bytes_read", "bytes_moved", "bytes_written"  # of several arrays; of the others the largest counts


def plan(
    x: Plan | Mapping[str, Plan], *, measured: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Picture:
    """Bars of the bytes that a run would read, hold, move and write, on a logarithmic scale.

    Parameters
    ----------
    x : Plan, or mapping {array: Plan}
        As :func:`covdist.plan` gives them. Of several arrays reads and writes add up, and the largest peak counts.
    measured : mapping, optional
        Bytes that a run took, by the names of Plan: "bytes_read", "peak_bytes", "state_bytes", "bytes_moved" or
        "bytes_written".
    ax : matplotlib Axes, optional
        To draw on; by default new ones.

    Returns
    -------
    Axes
        With a diamond for each measured number.

    Raises
    ------
    DataError
        If ``x`` is no plan, or other names are measured, or matplotlib is missing.

    Examples
    --------
    >>> import dask.array as da, covdist
    >>> p = covdist.plan(da.zeros((1_000_000, 64), chunks=(4096, 64), dtype="f4"))
    >>> ax = covdist.plot.plan(p, measured={"peak_bytes": 200 << 20})
    >>> [text.get_text() for text in ax.get_yticklabels()][:2], ax.texts[0].get_text()
    (['read', 'held by a worker'], '244 MiB')
    """
    plans = list(x.values()) if isinstance(x, Mapping) else [x]
    if not plans or not all(isinstance(each, Plan) for each in plans):
        raise DataError(
            f"plan draws what covdist.plan(x, dim=...) gives, found {type(plans[0]).__name__ if plans else 'nothing'}: "
            "pass that, or several by the names of their arrays"
        )
    known = {} if measured is None else measured
    if not isinstance(known, Mapping):
        raise DataError(f"measured is a {type(known).__name__}, expected bytes by name: pass {{'peak_bytes': ...}}")
    if unknown := [str(name) for name in known if name not in _BYTES]:
        raise DataError(f"measured has {', '.join(map(shown, unknown))}: pass bytes by the names {', '.join(_BYTES)}")
    planned = {name: _joined(plans, name) for name in _BYTES}

    def draw(_: xr.DataArray, panel: Axes) -> None:
        _draw(panel, planned, known)

    several = f" of {len(plans):,} arrays" if len(plans) > 1 else ""
    return drawn(xr.DataArray(0), draw, ax, title=f"Plan{several}: {_rows(plans)}", size=(6.4, 3.2))


def _joined(plans: list[Plan], name: str) -> int:
    numbers = [getattr(each, name) for each in plans]
    return sum(numbers) if name in _ADD_UP else max(numbers)


def _rows(plans: list[Plan]) -> str:
    shards = sum(each.strips * each.shards for each in plans)
    if len(plans) > 1:
        return f"{shards:,} shards"
    (one,) = plans
    return f"{one.work.rows:,} rows of {one.work.columns}, {shards:,} shard{'s' if shards > 1 else ''}"


def _draw(ax: Axes, planned: Mapping[str, int], measured: Mapping[str, float]) -> None:
    places = range(len(planned))
    values = np.maximum(list(planned.values()), 1)
    handles: list[Any] = [ax.barh(places, values, color=BLUE, height=0.6)]
    ax.set_xscale("log", base=1024, subs=[])
    most = max([*values, *measured.values()])
    ax.set_xlim(1, most * 1024 ** (1.5 if measured else 0.75))
    ax.xaxis.set_major_formatter(lambda value, _: human_bytes(value))
    ax.set_yticks(places, list(_BYTES.values()))
    ax.invert_yaxis()
    for place, (name, value) in zip(places, planned.items(), strict=True):
        beyond = max(value, measured.get(name, 0), 1)
        said = (
            f"{human_bytes(value)}, measured {human_bytes(measured[name])}" if name in measured else human_bytes(value)
        )
        ax.text(beyond * 1.8, place, said, va="center", fontsize="small")
    names = ["planned"]
    if measured:
        at = [places[list(planned).index(name)] for name in measured]
        handles += ax.plot(list(measured.values()), at, "D", color=ORANGE, markeredgecolor="black")
        names.append("measured")
        legend(ax, handles, names, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize="small")
