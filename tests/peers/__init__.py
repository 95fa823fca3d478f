"""What the tests of packages that compute the same things ask of them, asked of covdist, on data of our own.

numpy, pandas, xarray and dask are asked live. Figures of packages that are not installed here were computed once, with
scikit-learn 1.7, statsmodels 0.14 and deeptime 0.4.5, from ``data.X`` and ``data.WEIGHTS``.
"""
