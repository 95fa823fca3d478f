"""The arrays of one call brought together, and turned into Moments by the strategy that fits."""
