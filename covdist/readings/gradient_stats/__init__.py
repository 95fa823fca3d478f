"""Gradient statistics: per parameter, pooled over each layer and over the network."""

from covdist.readings.gradient_stats.gradient_stats import gradient_stats, read

__all__ = ["gradient_stats", "read"]
