"""Files that are there whole or not at all, in a folder or behind a URL."""
