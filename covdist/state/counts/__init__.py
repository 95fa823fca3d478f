"""States that count rows by their values."""
