"""How well predicted calls match the reference calls: names, parameter names, parameter values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolwise.rewards.assignment import best_assignment


@dataclass(frozen=True, slots=True)
class CallScoring:
    """How calls are compared; see `ToolRLSettings`.

    Attributes:
        paper: Optimal assignment and sets of names, instead of greedy and multisets.
        exact_names: Lists of names must be equal, order included.
        whole_calls: A pair of calls scores 1 if they are equal and 0 otherwise.
    """

    paper: bool = False
    exact_names: bool = False
    whole_calls: bool = False


def jaccard(expected: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Multiset Jaccard: Σ min / (|A| + |B| − Σ min) over the counts; 1 if both are empty.

    Raises:
        TypeError: If a member is unhashable.
    """
    if list(expected) == list(predicted):
        return 1.0
    ours, theirs = set(expected), set(predicted)
    if len(ours) == len(expected) and len(theirs) == len(predicted):
        shared = len(ours & theirs)
    else:
        shared = sum((Counter(expected) & Counter(predicted)).values())
    return shared / (len(expected) + len(predicted) - shared)


def call_similarity(
    expected: Sequence[Mapping[str, Any]], predicted: Sequence[Mapping[str, Any]], scoring: CallScoring
) -> float:
    """Score of the predicted calls divided by the largest possible one, in [0, 1].

    Names score once, as a Jaccard; each reference call is paired with at most one prediction of its name,
    which scores the Jaccard of their parameter names and 1 for each reference parameter of equal value.
    Equality is that of parsed JSON in Python (1 = 1.0 = true).

    Args:
        expected: Reference calls, each with ``name`` and ``parameters``.
        predicted: Predicted calls.
        scoring: How they are compared.

    Raises:
        KeyError: If a call lacks ``name`` or, where it is looked at, ``parameters``.
        TypeError: If a call is no object, or its name is unhashable.
        AttributeError: If ``parameters`` is no object.
    """
    score = _names([call["name"] for call in expected], [call["name"] for call in predicted], scoring)
    parameters = [call["parameters"] for call in expected]
    largest = 1 + sum(1 if scoring.whole_calls else 1 + len(own) for own in parameters)
    pair = _greedy if not scoring.paper else _optimal
    return (score + pair(expected, predicted, scoring)) / largest


def _names(ours: list[Any], theirs: list[Any], scoring: CallScoring) -> float:
    if scoring.exact_names:
        return float(ours == theirs)
    if scoring.paper:
        return jaccard(sorted(set(ours), key=repr), sorted(set(theirs), key=repr))
    return jaccard(ours, theirs)


def _pair_score(expected: Mapping[str, Any], predicted: Mapping[str, Any], scoring: CallScoring) -> float:
    if scoring.whole_calls:
        return float(expected == predicted)
    ours, theirs = expected["parameters"], predicted["parameters"]
    found = theirs.keys()
    equal = sum(1 for name, value in ours.items() if name in found and theirs[name] == value)
    if scoring.exact_names:
        return float(list(ours) == list(found)) + equal
    # Names of one object are all different.
    shared = len(ours.keys() & found)
    total = len(ours) + len(theirs) - shared
    return (shared / total if total else 1.0) + equal


def _greedy(
    expected: Sequence[Mapping[str, Any]], predicted: Sequence[Mapping[str, Any]], scoring: CallScoring
) -> float:
    """In the order of the reference, each call takes the first best prediction that is left."""
    left, total = list(predicted), 0.0
    for call in expected:
        best, chosen = 0.0, -1
        for index, candidate in enumerate(left):
            if candidate["name"] != call["name"]:
                continue
            value = _pair_score(call, candidate, scoring)
            if value > best:
                best, chosen = value, index
        if chosen >= 0:
            total += best
            del left[chosen]
    return total


def _optimal(
    expected: Sequence[Mapping[str, Any]], predicted: Sequence[Mapping[str, Any]], scoring: CallScoring
) -> float:
    """The pairing with the largest sum."""
    scores = [
        [_pair_score(call, other, scoring) if other["name"] == call["name"] else 0.0 for other in predicted]
        for call in expected
    ]
    chosen = best_assignment(scores)
    return sum(row[column] for row, column in zip(scores, chosen, strict=True) if column >= 0)
