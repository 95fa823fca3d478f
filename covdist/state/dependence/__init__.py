"""States that tell of dependence which covariance does not see."""
