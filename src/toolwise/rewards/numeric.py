"""Answers as numbers: found in text, with thousands separators, compared within a tolerance."""

from __future__ import annotations

import math
import re

from toolwise.core import Task, ToolwiseError
from toolwise.rewards.text import reference_answers

_NUMBER = re.compile(
    r"(?:(?<![\w.])[-+])?"  # a sign, but not the dash of "3-4"
    r"(?:(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"(?:[eE][-+]?\d+)?"
)
_CURRENCY = str.maketrans({"$": "", "€": "", "£": "", "¥": "", "−": "-"})
GSM8K_MARKER = "####"
"""What stands before the number in a GSM8K reference."""


def find_numbers(text: str) -> list[float]:
    """All finite numbers of a text, in order: ``1,234.5``, ``-$3``, ``.5``, ``2e3``; ``50%`` is 50."""
    found = (float(match.replace(",", "")) for match in _NUMBER.findall(text.translate(_CURRENCY)))
    return [number for number in found if math.isfinite(number)]


def reference_numbers(task: Task) -> tuple[float, ...]:
    """The accepted numbers of a task, each the last of its reference text, or the one after ``####``.

    Raises:
        ToolwiseError: If a reference holds no number.
    """
    numbers = []
    for reference in reference_answers(task):
        found = find_numbers(reference.rpartition(GSM8K_MARKER)[2])
        if not found:
            raise ToolwiseError(
                f"answer {reference!r} holds no number",
                where=f"task '{task.id}', field 'answer'",
                mend="give a number, or choose the reward 'exact_match'",
            )
        numbers.append(found[-1])
    return tuple(numbers)


def numeric_match(prediction: float, reference: float, tolerance: float) -> bool:
    """Whether |prediction − reference| ≤ tolerance · max(1, |reference|)."""
    return abs(prediction - reference) <= tolerance * max(1.0, abs(reference))
