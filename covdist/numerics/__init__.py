"""numpy, BLAS and LAPACK: a block becomes sums; sums are shifted, scaled and merged. Knows no state."""
