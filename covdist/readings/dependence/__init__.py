"""Dependence that covariance does not see."""
