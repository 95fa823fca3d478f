"""Cuts rows into shards, folds each on a worker and merges the states in a tree.

It knows two functions, a list and their costs, but no state, no log, no label and no policy.
"""
