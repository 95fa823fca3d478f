"""Results on disk: one Zarr group per state, written whole or not at all."""

from __future__ import annotations

import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec

from covdist.errors import ResultError
from covdist.readings import dataset as arrays
from covdist.readings.labels import Groups
from covdist.readings.result import Layout, Moments

_FORMAT = 1
_CHUNK = 1 << 24


def save(moments: Moments | Mapping[str, Moments], path: str | Path) -> None:
    """Write moments, or a mapping {node path: moments}, to a new Zarr store.

    Parameters
    ----------
    moments : Moments or mapping
        Computed first where they are lazy.
    path : str or Path
        Must not exist; appears only when everything is written.

    Raises
    ------
    ResultError
        If ``path`` exists, or its folder does not.
    """
    target = free_path(path)
    found = {"": moments} if isinstance(moments, Moments) else dict(moments)
    with _renamed_when_done(target) as partial:
        root = zarr.open_group(partial, mode="w", zarr_format=3, attributes={"covdist": _FORMAT, **_provenance()})
        for node, one in found.items():
            group = root if node == "" else root.require_group(node)
            _write(group, one.compute())


def free_path(path: str | Path) -> Path:
    """Return where a result can be written, or say why not."""
    target = Path(path).absolute()
    if target.exists():
        raise ResultError(f"{path} exists already: choose another output, or remove it first")
    if not target.parent.is_dir():
        raise ResultError(f"the folder {target.parent} for the output does not exist: make it first")
    if not os.access(target.parent, os.W_OK):
        raise ResultError(f"the folder {target.parent} for the output is not writable: choose another")
    return target


@contextmanager
def _renamed_when_done(target: Path) -> Iterator[Path]:
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _provenance() -> dict[str, Any]:
    versions = {name: version(name) for name in ("numpy", "dask", "distributed", "zarr", "xarray")}
    return {
        "versions": {"covdist": _covdist_version(), "python": platform.python_version(), **versions},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _covdist_version() -> str:
    import covdist

    return covdist.__version__


def _write(group: zarr.Group, moments: Moments) -> None:
    found = arrays.read(moments)
    group.attrs.update({**found.attrs, **_grouping(moments.layout)})
    for name, array in found.variables.items():
        values = array.to_numpy()
        if values.dtype.kind in "OUT":
            values = values.astype("U")
        group.create_array(
            str(name),
            data=values,
            chunks=_chunks(values),
            compressors=[Crc32cCodec()] if values.dtype.kind != "U" else "auto",
            dimension_names=[str(d) for d in array.dims],
            attributes={} if name not in found.coords else {"covdist_coordinate": True},
        )


def _grouping(layout: Layout) -> dict[str, Any]:
    return {} if layout.groups is None else {"groups": layout.groups.dim}


def _chunks(values: np.ndarray) -> tuple[int, ...]:
    if values.ndim == 0:
        return ()
    rows = max(1, _CHUNK // max(1, values[:1].nbytes))
    return (min(rows, len(values)) or 1, *(max(1, n) for n in values.shape[1:]))


def load(path: str | Path) -> Moments | dict[str, Moments]:
    """Read what :func:`save` or ``covdist run`` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Moments or dict
        Moments where the result holds one state, else a mapping {node path: Moments}.

    Raises
    ------
    ResultError
        If there is nothing at ``path``, or no covdist result.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     covdist.moments(np.eye(3)).save(f"{folder}/m.zarr")
    ...     int(covdist.load(f"{folder}/m.zarr").count)
    3
    """
    if not Path(path).exists():
        raise ResultError(f"{path} does not exist: pass the path that `covdist run -o` or Moments.save wrote")
    try:
        root = zarr.open_group(path, mode="r")
    except (FileNotFoundError, ValueError, OSError) as error:
        raise ResultError(f"{path} is no covdist result, which is a Zarr group ({error})") from error
    if root.attrs.get("covdist") != _FORMAT or "versions" not in root.attrs:
        raise ResultError(
            f"{path} is no covdist result of format {_FORMAT}: pass what `covdist run -o` or Moments.save wrote"
        )
    if "kind" in root.attrs:
        return _read(root)
    groups = {name: group for name, group in root.members(max_depth=None) if isinstance(group, zarr.Group)}
    return {name: _read(group) for name, group in sorted(groups.items()) if "kind" in group.attrs}


def _arrays(group: zarr.Group) -> xr.Dataset:
    found = xr.open_zarr(group.store_path.store, group=group.path or None, consolidated=False, chunks=None)
    names = [name for name, array in group.arrays() if array.attrs.get("covdist_coordinate")]
    return found.set_coords(names).load()


def _read(group: zarr.Group) -> Moments:
    attrs = dict(group.attrs)
    grouped = attrs.pop("groups", None)
    found = _arrays(group)
    groups = None if grouped is None else Groups(str(grouped), found[grouped].to_numpy())
    skip = [] if groups is None else [groups.dim]
    kind = str(attrs.pop("kind"))
    sides = [arrays.axis_of(found, "mean", skip)]
    if kind == "cross":
        sides.append(arrays.axis_of(found, "mean_y", skip))
    known: dict[str, Any] = {
        key: value for key, value in attrs.items() if key not in ("covdist", "versions", "created", "ddof")
    }
    layout = Layout(kind, tuple(sides), groups, known)
    return Moments(arrays.from_arrays(lambda name: found[name].to_numpy(), layout), layout)
