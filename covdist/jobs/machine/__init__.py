"""Decides what a job does next: events in, actions out; no dask, no files, no clock."""
