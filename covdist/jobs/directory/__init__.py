"""Remembers what a job has done: files, owners and fingerprints."""
