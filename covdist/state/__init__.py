"""The algebra, numpy and BLAS only: small immutable states that merge, and accumulators that fold blocks into them."""

# Packages of states.
SHELVES = ("counts", "dependence", "fourth_order", "series")
