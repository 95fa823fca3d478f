"""Cuts rows into shards, folds each on a worker and merges the states in a tree.

It knows two functions and a list: not what they compute, not where.
"""
