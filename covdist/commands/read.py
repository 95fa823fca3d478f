"""``covdist read``: any reading of what a result holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from covdist import plugins
from covdist.commands.options import Command, json_option, print_results
from covdist.commands.results import loaded
from covdist.commands.words import call_of
from covdist.errors import DataError, shown

if TYPE_CHECKING:
    import xarray as xr

    from covdist.results.moments import Moments

Named = Mapping[str, Any]  # arrays, or moments, by the paths of their layers


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("result")
@click.argument("reading")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--option VALUE ...]")
@click.option("-o", "--output", help="File to write, .zarr, .npy or .csv; must not exist.")
@json_option
def read(result: str, reading: str, words: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Read one statistic off RESULT, such as `covdist read result.zarr cov --ddof 1`, without touching data.

    READING and its options are those of Python: `covdist read result.zarr second_moment --append-one` is
    m.second_moment(append_one=True).
    """
    arguments, options = call_of(reading, _function(reading), words)
    write = None if output is None else _writer(output)
    from covdist.results.moments import Moments

    found = loaded(result)
    states = {"": found} if isinstance(found, Moments) else found
    values = {path: _read(path, one, reading, arguments, options) for path, one in states.items()}
    if write is not None:
        write(values)
    elif any(isinstance(value, Moments) for value in values.values()):
        print_results(values, as_json)
    elif as_json:
        click.echo(json.dumps({path: value.to_dict() for path, value in values.items()}, default=str))
    else:
        from covdist.terminal.readings import readings_table

        click.echo(readings_table(values))


def _read(path: str, one: Moments, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    try:
        return getattr(one, name)(*arguments, **options).compute()
    except DataError as error:
        raise DataError(f"{path}: {error}" if path else str(error)) from error


def _function(name: str) -> Callable[..., Any]:
    if name == "mean":
        from covdist.results.moments import Moments

        return Moments.mean
    try:
        return cast("Callable[..., Any]", plugins.find("readings", name).read)
    except (LookupError, AttributeError):
        from covdist.given import choices

        found = (each for each in plugins.names("readings") if hasattr(plugins.find("readings", each), "read"))
        readings = choices(name, sorted([*found, "mean"]), str)
        raise click.UsageError(f"there is no reading {shown(name)!r}: there are {readings}") from None


# ---- files


def _writer(output: str) -> Callable[[Named], None]:
    """Return what writes values to a new file of a known kind."""
    write = _WRITERS.get(Path(output).suffix)
    if write is None:
        raise click.UsageError(f"-o {shown(output)} is of no known kind: name it with {', '.join(_WRITERS)} at its end")
    from covdist.results.store import free_path, whole

    target = free_path(output)

    def written(values: Named) -> None:
        with whole(target) as place:
            write(values, place)

    return written


def _zarr(values: Named, path: Path) -> None:
    import xarray as xr

    from covdist.results.moments import Moments
    from covdist.results.saving import save_in

    if any(isinstance(value, Moments) for value in values.values()):
        save_in(path, values)
        return
    if slashed := next((name for name in values if "\\" in name), None):
        raise DataError(f"{slashed} has a backslash in its name, which zarr takes for a slash: rename it in the log")
    datasets = {f"/{name}": xr.merge([each], combine_attrs="override") for name, each in values.items()}
    xr.DataTree.from_dict(datasets).to_zarr(path, consolidated=False)


def _npy(values: Named, path: Path) -> None:
    from covdist.results.arrays import write_npy

    write_npy(path, _single(values).to_numpy())


def _csv(values: Named, path: Path) -> None:
    value = next(iter(values.values())) if len(values) == 1 else _single(values)
    frame = value.to_dataframe() if value.dims else value.expand_dims("row").to_dataframe()
    frame.to_csv(path)


def _single(values: Named) -> xr.DataArray:
    import xarray as xr

    found = list(values.values())
    if len(found) == 1 and isinstance(found[0], xr.DataArray):
        return found[0]
    raise DataError("what is read holds several arrays: name the file with .zarr at its end")


_WRITERS: dict[str, Callable[[Named, Path], None]] = {".zarr": _zarr, ".npy": _npy, ".csv": _csv}
