"""Readings of gradients, and of the layers they reach."""
