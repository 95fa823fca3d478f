"""Raise at the first row with a missing value."""

from covdist.folding.request import Policy
from covdist.numerics.nonfinite import refuse

POLICY = Policy(refuse)
