"""Formats of single files; ``covdist/logs/folder.py`` reads one of them, or a folder of them."""
