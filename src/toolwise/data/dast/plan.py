"""DastPlan: how many samples, how many answers of each level, and what the model is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolwise.data.dast.levels import LEVELS, Level, LevelThresholds

Count = Annotated[int, Field(ge=1)]


class DastPlan(BaseModel):
    """Settings of one round; the paper's values could not be read, these are our choice.

    Attributes:
        samples: K, drawn without exemplars to tell the difficulty (the authors' early code: 10).
        thresholds: Of the levels.
        targets: Distinct right answers wanted of a query, by level; not fewer for harder ones (DAST-P).
        budgets: Most samples drawn for them, by level.
        proportion: DAST-P: `targets` by level. Otherwise all queries get as many, of the same number in all.
        length: DAST-L: exemplars of the query's own level stand before it, so that hard queries get the
            longer reasoning of hard ones. Otherwise none do.
        shots: Exemplars before a query (the authors' early code: 8).
        chunk: Samples that are drawn at once; a query stops after the chunk in which it has enough.
        seed: Decides on the exemplars.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    samples: int = Field(default=16, ge=2)
    thresholds: LevelThresholds = LevelThresholds()
    targets: dict[Level, Count] = {Level.EASY: 4, Level.MEDIUM: 4, Level.HARD: 8, Level.UNSOLVED: 8}
    budgets: dict[Level, Count] = {Level.EASY: 16, Level.MEDIUM: 32, Level.HARD: 64, Level.UNSOLVED: 64}
    proportion: bool = True
    length: bool = True
    shots: int = Field(default=8, ge=1)
    chunk: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> DastPlan:
        for name, values in (("targets", self.targets), ("budgets", self.budgets)):
            if missing := [level for level in LEVELS if level not in values]:
                raise ValueError(f"{name} has no value for the level {missing[0]}")
        wanted = [self.targets[level] for level in LEVELS]
        if wanted != sorted(wanted):
            raise ValueError(f"targets {wanted} fall from easy to unsolved: harder queries want more")
        return self

    def target_of(self, levels: Mapping[str, Level]) -> dict[str, int]:
        """Answers wanted of each query, from the levels of all of them, by id."""
        wanted = {name: self.targets[level] for name, level in levels.items()}
        return wanted if self.proportion else uniform_targets(list(levels), sum(wanted.values()))


def uniform_targets(names: Sequence[str], total: int) -> dict[str, int]:
    """The same total spread evenly: the first ones get the one more that is left over."""
    if not names:
        return {}
    each, more = divmod(total, len(names))
    return {name: each + (place < more) for place, name in enumerate(names)}
