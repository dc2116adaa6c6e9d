"""Confidence of decisions: how probable a policy found it to call a tool or not, where it decided it.

SMART (arXiv 2502.11435) compares the probability of the token that says what kind of step follows, between
right and wrong decisions. In its indicator variant that is ``[[Search]]``, else ``(tool: Search)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INDICATOR = r"\[\[(\w+)\]\]"
"""What begins a step in the indicator variant."""
MARKER = r"\((general reasoning|tool: ?[^)\n]*)\)"
"""What ends the first line of a step."""
NO_TOOL = frozenset({"Reasoning", "general reasoning"})
"""What a step without a tool is marked with."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One step's decision.

    Attributes:
        task_id: The question.
        mark: What the step is marked with.
        probability: Product of the probabilities of the tokens that hold the mark, in [0, 1].
        right: Whether a tool was called only where one is needed, and not left out where it is.
    """

    task_id: str
    mark: str
    probability: float
    right: bool


@dataclass(frozen=True, slots=True)
class Confidence:
    """Decisions, right and wrong.

    Attributes:
        right: Probabilities of the right ones.
        wrong: Probabilities of the wrong ones.
    """

    right: tuple[float, ...]
    wrong: tuple[float, ...]

    @property
    def mean_right(self) -> float | None:
        """Mean over the right decisions; None if there are none."""
        return sum(self.right) / len(self.right) if self.right else None

    @property
    def mean_wrong(self) -> float | None:
        """Mean over the wrong decisions; None if there are none."""
        return sum(self.wrong) / len(self.wrong) if self.wrong else None


def decisions(
    record: Mapping[str, Any], pattern: str | None = None, no_tool: frozenset[str] = NO_TOOL
) -> list[Decision]:
    """The decisions of one rollout, as `toolwise evaluate` writes it.

    Args:
        record: With ``turns`` (``tokens``, ``logprobs``, ``calls``) and ``info.needs_tool``; a question of
            which it is not known whether it needs a tool has no right and no wrong.
        pattern: Regular expression whose first group is the mark; default: the indicators where there are
            some, else what stands in the parentheses of the steps.
        no_tool: Marks of steps without a tool.
    """
    needed = record["info"].get("needs_tool")
    if not isinstance(needed, bool):
        return []
    turns = [turn for turn in record["turns"] if turn["sampled"] and turn.get("tokens")]
    whole = "".join(token for turn in turns for token in turn["tokens"])
    chosen = pattern or (INDICATOR if re.search(INDICATOR, whole) else MARKER)
    called = any(turn["calls"] for turn in record["turns"])
    found = []
    for turn in turns:
        for mark, probability in marks(turn["tokens"], turn["logprobs"], chosen):
            right = called or not needed if mark in no_tool else needed
            found.append(Decision(str(record["task_id"]), mark, probability, right))
    return found


def marks(tokens: Sequence[str], logprobs: Sequence[float], pattern: str) -> list[tuple[str, float]]:
    """What the first group of a pattern matches in a turn, and how probable those tokens were.

    Args:
        tokens: Text of each token, shape (L,).
        logprobs: Log-probability of each when it was sampled, shape (L,).
        pattern: Regular expression with one group.
    """
    starts, place = [], 0
    for token in tokens:
        starts.append(place)
        place += len(token)
    found = []
    for match in re.finditer(pattern, "".join(tokens)):
        begin, end = match.span(1)
        spans = zip(tokens, starts, logprobs, strict=True)
        total = sum(value for token, start, value in spans if start < end and start + len(token) > begin)
        found.append((match.group(1), math.exp(total)))
    return found


def confidence(found: Sequence[Decision]) -> Confidence:
    """Right and wrong decisions apart."""
    return Confidence(
        tuple(one.probability for one in found if one.right),
        tuple(one.probability for one in found if not one.right),
    )
