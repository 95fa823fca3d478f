"""
What will a run cost?
=====================

What covdist would read, hold, move and write for a log of 400 GB. Nothing is run, and no row is there.
"""

import dask.array as da

import covdist

x = da.zeros((100_000_000, 1024), chunks=(100_000, 1024), dtype="f4")
covdist.plot.plan(covdist.plan(x))
