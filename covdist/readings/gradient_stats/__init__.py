"""Gradient statistics: per parameter, pooled over each layer and over the network."""

from covdist.readings.gradient_stats.per_parameter import gradient_stats, read

__all__ = ["gradient_stats", "read"]
