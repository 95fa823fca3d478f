"""Bias and error of each policy for missing values, by the share that is missing and by why: docs/concepts/missing.svg.

Run ``python -m benchmarks.missing``; it takes about a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import covdist

POLICIES = ("drop", "pairwise", "interpolate", "maxent")
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4)
ROWS, COLUMNS, RUNS, MEMORY = 2_000, 5, 20, 0.5
PLACE = Path(__file__).parent.parent / "docs" / "concepts" / "missing.svg"

Holes = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def at_random(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Every value is as likely to be missing as any other."""
    return rng.random(x.shape) < share


def by_another(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The first column is always there; the others miss in the half of the rows where it is larger."""
    holes = (rng.random(x.shape) < 2 * share) & (x[:, :1] > np.median(x[:, 0]))
    holes[:, 0] = False
    return holes


def by_itself(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The larger half of each column's values may be missing."""
    return (rng.random(x.shape) < 2 * share) & (x > np.median(x, axis=0))


WHY: dict[str, Holes] = {
    "at random": at_random,
    "where another column is large": by_another,
    "where they are large": by_itself,
}


def data(rng: np.random.Generator) -> np.ndarray:
    """Return steps of a run: columns of variance 1 and correlation 0.6, each step half of the one before."""
    root = np.linalg.cholesky(0.6 + 0.4 * np.eye(COLUMNS))
    x = rng.normal(size=(ROWS, COLUMNS)) @ root.T
    for step in range(1, ROWS):
        x[step] = MEMORY * x[step - 1] + np.sqrt(1 - MEMORY**2) * x[step]
    return x


def measured(holes: Holes, share: float) -> dict[str, tuple[float, float]]:
    """Return by policy the bias of the variances and the root mean square error of the covariances."""
    truth = 0.6 + 0.4 * np.eye(COLUMNS)
    found: dict[str, list[np.ndarray]] = {name: [] for name in POLICIES}
    for run in range(RUNS):
        rng = np.random.default_rng(run)
        full = data(rng)
        x = np.where(holes(full, share, rng), np.nan, full)
        for name, errors in found.items():
            errors.append(covdist.cov(x, missing=name).values - truth)
    stacks = {name: np.array(errors) for name, errors in found.items()}
    return {
        name: (float(np.diagonal(s, axis1=1, axis2=2).mean()), float(np.sqrt((s**2).mean())))
        for name, s in stacks.items()
    }


def main() -> None:
    """Draw the plot and print the numbers at one fifth missing."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "missing", "svg.fonttype": "none"}
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(WHY), figsize=(10, 5.2), sharex=True, sharey="row", layout="constrained")
    for column, (why, holes) in enumerate(WHY.items()):
        rows = [measured(holes, share) for share in SHARES]
        print(why, {name: tuple(round(v, 3) for v in rows[SHARES.index(0.2)][name]) for name in POLICIES})
        for name in POLICIES:
            for line in range(2):
                axes[line, column].plot(SHARES, [row[name][line] for row in rows], marker=".", label=name)
        axes[0, column].set_title(f"missing {why}", fontsize="medium")
        axes[0, column].axhline(0, color="0.8", zorder=0)
        axes[1, column].set_xlabel("share missing")
    axes[0, 0].set_ylabel("bias of the variances")
    axes[1, 0].set_ylabel("error of the covariances")
    axes[1, 0].set_ylim(0, 0.6)
    axes[0, 0].legend()
    figure.savefig(PLACE, metadata={"Date": None})


if __name__ == "__main__":
    main()
