"""``netcdf``: count, mean, variance and what else a state tells without arguments, with dims, labels and attributes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from covdist.errors import DataError, shown
from covdist.exports._summary import summary
from covdist.results.moments import Moments

SUFFIX = ".nc"
GROUPS = True
_METADATA = 1 << 16  # bytes, about what HDF5 writes beside the arrays of a state
_PIECE = bytes(1 << 20)


def write(m: Moments, path: Path) -> None:
    """Write one state; groups are a dim. Without netCDF4 or h5netcdf the file is netCDF 3, with what that holds."""
    found = summary(m)
    _check_room(path, found.nbytes + _METADATA)
    try:
        if find_spec("h5netcdf"):
            found.to_netcdf(path, engine="h5netcdf")
        elif find_spec("netCDF4"):
            found.to_netcdf(path, engine="netcdf4")
        else:
            found.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")
    except (ValueError, TypeError, NotImplementedError) as error:
        raise DataError(
            f"netCDF does not hold this state ({shown(str(error), 200)}): install h5netcdf, pip install "
            "'covdist[exports]', which holds more, or drop or rename its labels"
        ) from error


def _check_room(path: Path, size: int) -> None:
    """Raise OSError where the system has no room for a file: HDF5's library would crash, and the process with it."""
    with path.open("wb") as file:
        for start in range(0, size, len(_PIECE)):
            file.write(_PIECE[: size - start])
    path.unlink()
