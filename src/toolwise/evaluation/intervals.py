"""95% intervals: Wilson's for shares, a seeded paired bootstrap for means and ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from toolwise.core import seed_for

LEVEL = 0.95
RESAMPLES = 2000

Interval = tuple[float, float]


def wilson(hits: int, total: int) -> Interval | None:
    """Wilson's score interval of the share ``hits / total`` (Wilson 1927), within [0, 1].

    Returns:
        Lower and upper bound, or None if `total` is 0.
    """
    if total == 0:
        return None
    from scipy.stats import binomtest

    bounds = binomtest(hits, total).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(bounds.low), float(bounds.high)


def bootstrap_ratio(above: Sequence[float], below: Sequence[float], *key: str | int) -> Interval | None:
    """Percentile bootstrap interval of ``Σ above / Σ below``, resampling questions, both values together.

    With ``below`` all ones this is the interval of a mean.

    Args:
        above: One value per question, shape (Q,).
        below: One value per question, shape (Q,).
        *key: What the resampling is seeded by; equal keys and values give equal intervals.

    Returns:
        Lower and upper bound. None if there are fewer than two questions, or if so many resamples have a
        zero denominator that a bound is not finite.
    """
    if len(above) < 2 or not any(below):
        return None
    from scipy.stats import bootstrap

    def ratio(top: np.ndarray, bottom: np.ndarray, axis: int) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient: np.ndarray = np.where(bottom.sum(axis) == 0, np.inf, top.sum(axis) / bottom.sum(axis))
        return quotient

    # Infinite resamples are sorted to the top; interpolating between them gives NaN, reported as None.
    with np.errstate(invalid="ignore"):
        found = bootstrap(
            (np.asarray(above, dtype=float), np.asarray(below, dtype=float)),
            ratio,
            paired=True,
            vectorized=True,
            axis=-1,
            confidence_level=LEVEL,
            n_resamples=RESAMPLES,
            batch=500,
            method="percentile",
            rng=np.random.default_rng(seed_for("bootstrap", *key)),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
