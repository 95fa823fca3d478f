"""The algebra: small immutable states that merge, and the accumulators that fold blocks into them.

numpy and BLAS only: no dask, no labels, no files.
"""
