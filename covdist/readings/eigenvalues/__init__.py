"""Readings that sum up all eigenvalues of the matrix that a state holds."""
