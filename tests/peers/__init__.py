"""What the tests of packages that compute the same things ask of them, asked of covdist, on data of our own.

numpy, pandas, xarray and dask are asked live. Figures of packages that are not installed here were computed once, with
scikit-learn 1.7, statsmodels 0.14 and deeptime 0.4.5, from ``data.X`` and ``data.WEIGHTS``; those of ``test_estimates``
with scikit-learn 1.9.1, statsmodels 0.15.0, deeptime 0.4.5, concept-erasure 0.2.4, pytorch-ood 0.4.0,
torch 2.13.0, pytorch-fid 0.3.0 and torchmetrics 1.9.0.
"""
