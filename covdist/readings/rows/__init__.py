"""Rows by a state: whitened, standardised, as distances, along eigenvectors; lazy, in the rows' own chunks."""
