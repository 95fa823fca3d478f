"""Pictures of the ten digits as seven bars each, drawn here so that no data set need be fetched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from covdist.demo.training import Data

HEIGHT, WIDTH = 13, 8  # of a picture; a digit is 11 × 6

# Bars are top, upper left, upper right, middle, lower left, lower right, bottom.
_LIT = "1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011"
_LEFT, _ACROSS, _RIGHT = slice(0, 1), slice(1, 5), slice(5, 6)
_UPPER, _LOWER = slice(1, 5), slice(6, 10)
_BARS = (
    (slice(0, 1), _ACROSS),
    (_UPPER, _LEFT),
    (_UPPER, _RIGHT),
    (slice(5, 6), _ACROSS),
    (_LOWER, _LEFT),
    (_LOWER, _RIGHT),
    (slice(10, 11), _ACROSS),
)


def digits(samples: int, rng: np.random.Generator, only: Sequence[int] = range(10)) -> Data:
    """Draw digits out of ``only``, moved by up to two pixels, of uneven brightness, with noise: (samples, 104)."""
    labels = rng.choice(np.asarray(only), size=samples)
    pictures = np.zeros((samples, HEIGHT, WIDTH))
    places = rng.integers(3, size=(samples, 2))
    for picture, digit, (down, right) in zip(pictures, labels, places, strict=True):
        for (rows, columns), lit in zip(_BARS, _LIT[digit], strict=True):
            picture[down:, right:][rows, columns] = int(lit)
    pictures *= rng.uniform(0.6, 1, (samples, 1, 1))
    pictures += rng.normal(0, 0.1, pictures.shape)
    return Data(pictures.reshape(samples, -1).astype(np.float32), labels)
