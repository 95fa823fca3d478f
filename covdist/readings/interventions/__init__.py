"""Readings that a training script acts on: preconditioners, initial scales, pruning, erasure."""
