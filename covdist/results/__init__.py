"""A state, or the promise of one, with names; and how it lies on disk."""
