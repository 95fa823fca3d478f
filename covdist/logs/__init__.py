"""Reading logs: one file or package is one format, those of single files in ``files``; a path in, lazy xarray out."""

SHELVES = ("files",)
