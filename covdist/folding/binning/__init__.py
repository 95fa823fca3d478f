"""Ranges of a coordinate: by their edges, or by multiples of a width."""
