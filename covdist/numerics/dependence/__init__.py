"""What covariance cannot see, in numpy: ranks, distances and kernels."""
