"""Moments over windows of groups, such as over the steps of training."""
