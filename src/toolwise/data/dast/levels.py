"""Difficulty: levels by the share of right answers among samples of the policy.

That there are four levels is the paper's; where they end could not be read. The defaults are the bounds that
the authors' early code has for its six bands (`accuracy_band`), with the outer ones joined.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Level(StrEnum):
    """How hard a query is for a policy."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"
    UNSOLVED = "unsolved"


LEVELS = tuple(Level)
"""From easy to unsolved."""


class LevelThresholds(BaseModel):
    """From accuracy p to level.

    Attributes:
        hard_below: Hard: 0 < p < this; in (0, 1).
        easy_above: Easy: p > this; medium: from `hard_below` up to this, both included. In [hard_below, 1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hard_below: float = Field(default=0.4, gt=0, lt=1)
    easy_above: float = Field(default=0.7, gt=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> LevelThresholds:
        if self.easy_above < self.hard_below:
            raise ValueError(f"easy_above {self.easy_above} is less than hard_below {self.hard_below}")
        return self

    def level(self, correct: int, samples: int) -> Level:
        """The level of a query of which so many of the samples are right."""
        share = correct / samples
        if correct == 0:
            return Level.UNSOLVED
        if share < self.hard_below:
            return Level.HARD
        return Level.EASY if share > self.easy_above else Level.MEDIUM


def accuracy_band(correct: int, samples: int) -> str:
    """The six bands of the authors' early code, for GSM8K.

    ``certain`` 1; ``high`` (0.7, 1); ``medium`` [0.4, 0.7]; ``low`` (0.1, 0.4); ``weak`` (0, 0.1];
    ``unknown`` 0.
    """
    share = correct / samples
    if correct in (0, samples):
        return "unknown" if correct == 0 else "certain"
    if share > 0.7:
        return "high"
    if share >= 0.4:
        return "medium"
    return "low" if share > 0.1 else "weak"
