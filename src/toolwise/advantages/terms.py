"""Advantages as a sum of terms, each a source reward, a normaliser and a spread over tokens."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolwise.advantages.credit import Credit, Floats, Mask
from toolwise.advantages.normalise import Normaliser, Scope, normalise, whiten
from toolwise.core import ToolwiseError


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TotalSource(_Model):
    """The total of a rollout's reward.

    Attributes:
        at: One value a ``rollout``, or the same at each ``turn``, so that statistics count turns.
    """

    type: Literal["total"] = "total"
    at: Literal["rollout", "turn"] = "rollout"


class PartSource(_Model):
    """A named part of a rollout's reward.

    Attributes:
        name: Which part.
    """

    type: Literal["part"] = "part"
    name: str


class TurnSource(_Model):
    """The reward of each assistant turn.

    Attributes:
        discount: γ in [0, 1]; the value of turn t is Σ γ^(k−t)·reward_k over the turns k ≥ t. 0 takes each
            turn's own reward.
    """

    type: Literal["turns"] = "turns"
    discount: float = Field(default=0.0, ge=0, le=1)


Source = Annotated[TotalSource | PartSource | TurnSource, Field(discriminator="type")]


class Term(_Model):
    """One summand of an advantage.

    Attributes:
        source: Which reward.
        normaliser: How it is compared.
        spread: Which tokens get it: all sampled ones of the ``rollout``; those of the ``turn`` that it is
            from; ``from_here``: each turn gets the sum over itself and all later turns; ``mask``: the
            sampled tokens at which ``reward.tokens`` is not 0.
        weight: Factor.
    """

    source: Source = TotalSource()
    normaliser: Normaliser = Normaliser()
    spread: Literal["rollout", "turn", "from_here", "mask"] = "rollout"
    weight: float = 1.0

    @property
    def by_turn(self) -> bool:
        """Whether there is one value a turn instead of one a rollout."""
        scopes = (self.normaliser.over, self.normaliser.scale_over)
        per_turn = isinstance(self.source, TurnSource) or self.source == TotalSource(at="turn")
        return per_turn or "siblings" in scopes

    @model_validator(mode="after")
    def _fits(self) -> Term:
        scopes = {self.normaliser.over, self.normaliser.scale_over}
        if "siblings" in scopes and "turn" in scopes:
            raise ValueError("'siblings' and 'turn' cannot be mixed in one normaliser")
        if not self.by_turn and ("turn" in scopes or self.spread in ("turn", "from_here")):
            raise ValueError("one value a rollout has no turn: use source 'turns', or total at 'turn'")
        if self.by_turn and self.spread == "mask":
            raise ValueError("spread 'mask' takes one value a rollout")
        return self


@dataclass(frozen=True)
class _Value:
    """One value of a term: where it is from."""

    rollout: int
    turn: int
    value: float


class TermsEstimator:
    """Sum of terms, then whitening over the batch if asked for.

    Args:
        terms: At least one.
        whitening: Whether the sum is whitened over the sampled tokens of the batch.
    """

    def __init__(self, terms: Sequence[Term], whitening: bool = False) -> None:
        self.terms = tuple(terms)
        self.whitening = whitening

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """Token advantages, see `AdvantageEstimator`.

        Raises:
            ToolwiseError: If a reward lacks the part, the turn rewards or the token mask that a term needs.
        """
        totals = [np.zeros(len(credit.mask)) for credit in credits]
        for term in self.terms:
            for total, added in zip(totals, _term_advantages(term, credits), strict=True):
                total += term.weight * added
        if self.whitening:
            return whiten(totals, [credit.mask for credit in credits])
        return totals


def _term_advantages(term: Term, credits: Sequence[Credit]) -> list[Floats]:
    rows = [row for number, credit in enumerate(credits) for row in _values(term, number, credit)]
    rule = term.normaliser
    if "siblings" in (rule.over, rule.scale_over):
        normal = _among_nodes(rows, credits, rule)
    else:
        normal = normalise(
            np.array([row.value for row in rows], dtype=np.float64),
            np.array([credits[row.rollout].length for row in rows], dtype=np.float64),
            _keys(rule.over, rows, credits),
            _keys(rule.scale_over, rows, credits),
            rule,
        )
    advantages = [np.zeros(len(credit.mask)) for credit in credits]
    for row, value in zip(rows, normal, strict=True):
        credit = credits[row.rollout]
        advantages[row.rollout][_tokens(term, row, credit)] += value
    return advantages


def _turn_count(credit: Credit) -> int:
    return int(credit.turn.max(initial=-1)) + 1


def _values(term: Term, number: int, credit: Credit) -> list[_Value]:
    source, reward = term.source, credit.reward
    if isinstance(source, TurnSource):
        if len(reward.turns) < _turn_count(credit):
            raise ToolwiseError(
                f"{len(reward.turns)} turn rewards for {_turn_count(credit)} assistant turns",
                where=f"group '{credit.group}'",
                mend="use a reward that gives one value for each assistant turn",
            )
        values, following = [0.0] * len(reward.turns), 0.0
        for turn in reversed(range(len(reward.turns))):
            following = values[turn] = reward.turns[turn] + source.discount * following
        return [_Value(number, turn, value) for turn, value in enumerate(values)]
    if isinstance(source, PartSource) and source.name not in reward.parts:
        raise ToolwiseError(
            f"the reward has no part '{source.name}'",
            where=f"group '{credit.group}'",
            mend=f"its parts are {sorted(reward.parts)}",
        )
    value = reward.parts[source.name] if isinstance(source, PartSource) else reward.total
    if term.by_turn:
        return [_Value(number, turn, value) for turn in range(_turn_count(credit))]
    return [_Value(number, -1, value)]


def _keys(scope: Scope, rows: Sequence[_Value], credits: Sequence[Credit]) -> list[Hashable] | None:
    if scope == "none":
        return None
    if scope == "batch":
        return ["batch"] * len(rows)
    if scope == "group":
        return [credits[row.rollout].group for row in rows]
    return [(credits[row.rollout].group, row.turn) for row in rows]


def _among_nodes(rows: Sequence[_Value], credits: Sequence[Credit], rule: Normaliser) -> Floats:
    """Normalise over tree nodes, each once, with the mean value of the rollouts through it."""
    places: dict[tuple[str, int], list[int]] = {}
    parents: dict[tuple[str, int], Hashable] = {}
    for index, row in enumerate(rows):
        credit = credits[row.rollout]
        start = int(np.argmax(credit.turn == row.turn))
        node = (credit.tree, int(credit.node[start]))
        # Turns without tokens leave no trace, so the parent is the last node that has any.
        parents[node] = (credit.tree, int(credit.node[start - 1]) if start else -1)
        places.setdefault(node, []).append(index)
    nodes = list(places)
    values = np.array([np.mean([rows[index].value for index in places[node]]) for node in nodes])
    lengths = np.array(
        [float((credits[rows[places[node][0]].rollout].node == node[1]).sum()) for node in nodes]
    )
    groups = [credits[rows[places[node][0]].rollout].group for node in nodes]
    keys: dict[Scope, list[Hashable] | None] = {
        "none": None,
        "batch": ["batch"] * len(nodes),
        "group": list(groups),
        "siblings": [parents[node] for node in nodes],
    }
    normal = normalise(values, lengths, keys[rule.over], keys[rule.scale_over], rule)
    result = np.zeros(len(rows))
    for node, value in zip(nodes, normal, strict=True):
        result[places[node]] = value
    return result


def _tokens(term: Term, row: _Value, credit: Credit) -> Mask:
    """Which tokens of its rollout a value is added to, shape (L,), bool."""
    if term.spread == "rollout":
        return credit.mask
    if term.spread == "turn":
        chosen: Mask = credit.turn == row.turn
        return credit.mask & chosen
    if term.spread == "from_here":  # its own turn and all before it: each gets what comes from there on
        return credit.mask & (credit.turn >= 0) & (credit.turn <= row.turn)
    if len(credit.reward.tokens) != len(credit.mask):
        raise ToolwiseError(
            f"spread 'mask' needs reward.tokens for {len(credit.mask)} tokens, "
            f"there are {len(credit.reward.tokens)}",
            where=f"group '{credit.group}'",
            mend="use a reward that marks tokens, or another spread",
        )
    marked: Mask = np.asarray(credit.reward.tokens) != 0
    return credit.mask & marked
