"""Let missing values run into the results of their columns."""

from covdist.folding.request import Policy
from covdist.numerics.nonfinite import propagate

POLICY = Policy(propagate)
