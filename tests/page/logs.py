"""Logs whose names do all they can to be more than text."""

from __future__ import annotations

import numpy as np
import xarray as xr

SCRIPT = "<script>alert(1)<∕script><img src=x onerror=alert(1)>"  # a slash would make it two nodes
ANSI = "\x1b[31mred\x1b[0m"
BIDI = "abc\u202egnp.exe"
FORMULA = "$$x^2$$"
ODD = [SCRIPT, ANSI, BIDI, FORMULA, "@image{safe}", "&lt;b&gt;"]


def rows(seed: int = 0, units: int = 6, amount: int = 90) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(amount, 3)) @ rng.normal(size=(3, units)) + rng.normal(size=(amount, units))


def odd_log() -> xr.DataTree:
    """Gradients that shrink towards the input, activations with a gap, and coordinates with hostile values."""
    nodes = {}
    for number, name in enumerate(ODD):
        activation = rows(number)
        if number == 1:
            activation[5, 2] = np.nan
        nodes[f"/{name}"] = xr.Dataset(
            {
                "activation": (("sample", "unit<b>"), activation),
                "gradient": (("step", "param"), 10.0 ** (2 * number - 12) * (1 + rows(number + 10))),
            },
            {"step": np.arange(90), "unit<b>": [f"{each}</script>" for each in ODD]},
        )
    return xr.DataTree.from_dict(nodes)
