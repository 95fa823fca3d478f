"""Rows whose columns are needed whole, or through a sample: ranks, and pairs of columns."""
