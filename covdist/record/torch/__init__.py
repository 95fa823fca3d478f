"""Records what a torch model does while it trains: ``watch``, gradients of single samples, the rank of a process."""

from covdist.record.torch.per_sample import per_sample_gradients as per_sample_gradients
from covdist.record.torch.ranks import rank as rank
from covdist.record.torch.watching import Watch as Watch
from covdist.record.torch.watching import watch as watch
