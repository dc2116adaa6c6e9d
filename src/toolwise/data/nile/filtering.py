"""Internal consistency filtering (ICF): drop the answers that agree least with what the model knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolwise.core import ToolwiseError

LOW, HIGH = 0.1, 0.3
"""Shares that go with the two thresholds. The paper reports a low and a high one without their values, and
keeps to the low one; that they are these shares is our choice."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """Places in the list of scores, each list ascending.

    Attributes:
        kept: What stays.
        lowest: What agrees least.
        highest: What agrees most.
    """

    kept: tuple[int, ...]
    lowest: tuple[int, ...]
    highest: tuple[int, ...]


def filter_consistent(scores: Sequence[float], drop_lowest: float, drop_highest: float = 0.0) -> Filtered:
    """Drop a share of the rows at each end; of equal scores the earlier row stays at the low end.

    Args:
        scores: Consistency of each row.
        drop_lowest: Share that goes at the low end, in [0, 1); rounded down to whole rows.
        drop_highest: Share that goes at the high end: too much consistency hurts as well (section 4).

    Raises:
        ToolwiseError: A share is out of range, or a score is no number.
    """
    if drop_lowest < 0 or drop_highest < 0 or drop_lowest + drop_highest >= 1:
        raise ToolwiseError(
            f"the shares {drop_lowest} and {drop_highest} leave nothing, or are below 0",
            where="drop_lowest, drop_highest",
            mend="give two shares that add up to less than 1",
        )
    if bad := [place for place, score in enumerate(scores) if not math.isfinite(score)]:
        raise ToolwiseError(
            f"{len(bad)} scores are no numbers, the first one that of row {bad[0] + 1}",
            where="consistency",
            mend="check the scorer",
        )
    order = sorted(range(len(scores)), key=lambda place: (scores[place], -place))
    # 0.1 · 30 is a little more or less than 3 in floating point; whole numbers are meant.
    low = math.floor(drop_lowest * len(scores) + 1e-9)
    high = math.floor(drop_highest * len(scores) + 1e-9)
    end = len(order) - high
    return Filtered(tuple(sorted(order[low:end])), tuple(sorted(order[:low])), tuple(sorted(order[end:])))
