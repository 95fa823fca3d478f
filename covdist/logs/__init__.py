"""Logs on disk, opened by their headers alone. One file or package is one format."""
