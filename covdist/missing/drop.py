"""Leave out each row with a missing value, in x or y."""

from covdist.folding.request import Policy
from covdist.numerics.nonfinite import drop

POLICY = Policy(drop, whole_rows=True)
