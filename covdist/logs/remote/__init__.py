"""Files and folders behind URLs that fsspec knows, for whoever opens them by ``covdist/logs/paths.py``."""
