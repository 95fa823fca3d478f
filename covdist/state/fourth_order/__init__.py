"""States with sums of third and fourth powers beside those of squares."""
