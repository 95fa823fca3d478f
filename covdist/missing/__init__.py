"""Policies for missing values: one file each, by the name that ``missing=`` takes."""
