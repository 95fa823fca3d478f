"""Pictures of results: one file = one plot, found by its name, and a function of that name in it.

A plot takes moments, or what readings gave, and returns matplotlib's Axes; a FacetGrid of xarray, with a panel for each
group, where there are groups. matplotlib is imported when something is drawn: ``pip install 'covdist[plot]'``.

Examples
--------
>>> import numpy as np, covdist
>>> ax = covdist.plot.correlation(covdist.moments(np.random.default_rng(0).normal(size=(100, 4))))
>>> ax.get_title()
'Correlation'
"""

from typing import TYPE_CHECKING

from covdist import plugins

if TYPE_CHECKING:  # found without this list, which is for type checkers
    from covdist.plot.correlation import correlation as correlation
    from covdist.plot.drift import drift as drift
    from covdist.plot.gradients import gradients as gradients
    from covdist.plot.health import health as health
    from covdist.plot.missing import missing as missing
    from covdist.plot.plan import plan as plan
    from covdist.plot.similarity import similarity as similarity
    from covdist.plot.spectrum import spectrum as spectrum

__all__ = plugins.names("plot")

for _name in __all__:  # now: importing a module later would put it in the place of its function
    globals()[_name] = getattr(plugins.find("plot", _name), _name)
