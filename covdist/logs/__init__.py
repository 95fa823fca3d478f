"""Logs on disk. One file is one format; headers only. Workers import no xarray to read a chunk."""
