"""Readings of the matrix that a state holds: uncentred, inverted, shrunk."""
