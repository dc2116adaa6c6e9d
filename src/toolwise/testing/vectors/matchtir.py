"""Vectors of MatchTIR's dual advantage, which is two of our terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolwise.advantages import Credit, Normaliser, Term, TermsEstimator, TurnSource
from toolwise.advantages.normalise import Scope
from toolwise.core import Reward
from toolwise.testing.vectors.comparison import Check, check, difference, read_json


def _credit(rewards: Any, mask: Any, group: str, row: int) -> Credit:
    """A row whose turns are its runs of sampled tokens."""
    sampled = np.array(mask) > 0
    starts = sampled & ~np.concatenate([[False], sampled[:-1]])
    turn = np.where(sampled, np.cumsum(starts) - 1, -1)
    values = tuple(float(np.array(rewards)[turn == number].sum()) for number in range(int(starts.sum())))
    reward = Reward(sum(values), turns=values)
    return Credit(group, reward, sampled, turn, np.cumsum(starts), str(row))


def _case(case: Mapping[str, Any], discount: float, tolerance: float) -> str:
    scale: Scope = "group" if case["norm_adv_by_std_in_grpo"] else "none"
    rows = zip(case["token_level_rewards"], case["response_mask"], case["index"], strict=True)
    credits = [_credit(*fields, row) for row, fields in enumerate(rows)]
    trajectory = Term(normaliser=Normaliser(scale_over=scale), weight=0.5)
    turns = Term(
        source=TurnSource(discount=discount),
        normaliser=Normaliser(over="turn", scale_over="turn"),
        spread="turn",
        weight=0.5,
    )
    ours = np.stack(TermsEstimator([trajectory, turns])(credits))
    mask = np.array(case["response_mask"]) > 0
    return difference(ours[mask], np.array(case["advantages"])[mask], tolerance)


def checks(path: Path) -> Iterator[Check]:
    """Compare ``matchtir_dual_advantage.json``."""
    content = read_json(path)
    discount = content.get("constants", {}).get("discount_over_turns", 0.9)
    for case in content["cases"]:
        yield check(case["name"], _case, case, discount, content.get("tolerance", 1e-5))
