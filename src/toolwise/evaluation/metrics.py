"""Accuracy and tool use over held-out questions, measured against the boundary of knowledge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.evaluation.intervals import Interval, bootstrap_ratio, wilson
from toolwise.evaluation.outcomes import Outcome

MEASURES = (
    "accuracy",
    "accuracy_within",
    "accuracy_beyond",
    "calls_within",
    "calls_beyond",
    "overuse",
    "underuse",
    "boundary_agreement",
    "tool_productivity",
)
"""The measures of a `Summary`, in the order in which they are shown."""

Crossing = Mapping[str, Mapping[str, Mapping[str, int]]]
"""What lies where × what was done: ``within``, ``beyond`` or ``unlabelled`` (not known to be either), then
``called`` or ``not_called``, then ``questions`` and ``correct``, both counts."""

Measured = tuple[float | None, Interval | None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a policy did over a set of questions.

    *Within* are the questions that need no tool, *beyond* those that need one. A measure is None where no
    question counts towards it.

    Attributes:
        questions: Number of questions.
        accuracy: Share answered correctly, in [0, 1].
        accuracy_within: The same over the questions within.
        accuracy_beyond: The same over the questions beyond.
        calls_within: Mean tool calls per question within, ≥ 0.
        calls_beyond: Mean tool calls per question beyond, ≥ 0.
        overuse: Share of the questions within on which a tool was called.
        underuse: Share of the questions beyond on which none was called.
        boundary_agreement: Share of questions on which "called" equals "needed".
        tool_productivity: Correct answers per tool call, Σ correct / Σ calls (OTC, arXiv 2504.14870, TP);
            None if no call was made.
        intervals: 95% interval of each measure: Wilson for shares, paired bootstrap for means and ratios.
        crossing: See `Crossing`; only over all questions.
        by_level: The same for each level of the boundary (``type``, ``entity``), where stated.
        by_kind: The same for each kind of question, where stated.
        by_domain: The same for each domain, where stated.
    """

    questions: int
    accuracy: float | None
    accuracy_within: float | None
    accuracy_beyond: float | None
    calls_within: float | None
    calls_beyond: float | None
    overuse: float | None
    underuse: float | None
    boundary_agreement: float | None
    tool_productivity: float | None
    intervals: Mapping[str, Interval | None]
    crossing: Crossing = field(default_factory=dict)
    by_level: Mapping[str, Summary] = field(default_factory=dict)
    by_kind: Mapping[str, Summary] = field(default_factory=dict)
    by_domain: Mapping[str, Summary] = field(default_factory=dict)

    def measures(self) -> dict[str, Any]:
        """The measures with ``questions`` and ``intervals``, JSON-able, without breakdowns."""
        record: dict[str, Any] = {name: getattr(self, name) for name in MEASURES}
        record["questions"] = self.questions
        record["intervals"] = {
            name: None if bounds is None else list(bounds) for name, bounds in self.intervals.items()
        }
        return record

    def to_record(self, policy: str, seed: int) -> dict[str, Any]:
        """One record of ``results.json``: measures, intervals, the crossing, breakdowns by level and kind."""
        return {
            "policy": policy,
            "seed": seed,
            **self.measures(),
            "crossing": {
                side: {done: dict(cell) for done, cell in cells.items()}
                for side, cells in self.crossing.items()
            },
            "by_level": {name: part.measures() for name, part in self.by_level.items()},
            "by_kind": {name: part.measures() for name, part in self.by_kind.items()},
        }


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """Measure a policy over a set of questions, one outcome per question.

    Raises:
        ToolwiseError: There are no outcomes.
    """
    if not outcomes:
        raise ToolwiseError("there is nothing to summarise", mend="evaluate at least one question")
    return _measure(
        outcomes,
        crossing=_crossing(outcomes),
        by_level=_split(outcomes, lambda outcome: outcome.level),
        by_kind=_split(outcomes, lambda outcome: outcome.kind),
        by_domain=_split(outcomes, lambda outcome: outcome.domain),
    )


def _measure(
    outcomes: Sequence[Outcome],
    crossing: Crossing | None = None,
    by_level: Mapping[str, Summary] | None = None,
    by_kind: Mapping[str, Summary] | None = None,
    by_domain: Mapping[str, Summary] | None = None,
) -> Summary:
    within = [outcome for outcome in outcomes if outcome.needs_tool is False]
    beyond = [outcome for outcome in outcomes if outcome.needs_tool is True]
    found: dict[str, Measured] = {
        "accuracy": _share(outcome.correct for outcome in outcomes),
        "accuracy_within": _share(outcome.correct for outcome in within),
        "accuracy_beyond": _share(outcome.correct for outcome in beyond),
        "calls_within": _ratio([outcome.calls for outcome in within], [1] * len(within), "calls"),
        "calls_beyond": _ratio([outcome.calls for outcome in beyond], [1] * len(beyond), "calls"),
        "overuse": _share(outcome.calls > 0 for outcome in within),
        "underuse": _share(outcome.calls == 0 for outcome in beyond),
        "boundary_agreement": _share(
            (outcome.calls > 0) == outcome.needs_tool for outcome in (*within, *beyond)
        ),
        "tool_productivity": _ratio(
            [int(outcome.correct) for outcome in outcomes],
            [outcome.calls for outcome in outcomes],
            "productivity",
        ),
    }
    return Summary(
        questions=len(outcomes),
        **{name: value for name, (value, _) in found.items()},
        intervals={name: bounds for name, (_, bounds) in found.items()},
        crossing=crossing or {},
        by_level=by_level or {},
        by_kind=by_kind or {},
        by_domain=by_domain or {},
    )


def _crossing(outcomes: Sequence[Outcome]) -> Crossing:
    sides = {False: "within", True: "beyond", None: "unlabelled"}
    counts = {
        side: {done: {"questions": 0, "correct": 0} for done in ("called", "not_called")}
        for side in sides.values()
    }
    for outcome in outcomes:
        cell = counts[sides[outcome.needs_tool]]["called" if outcome.calls else "not_called"]
        cell["questions"] += 1
        cell["correct"] += outcome.correct
    return counts


def _split(outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> dict[str, Summary]:
    names = sorted({key(outcome) for outcome in outcomes} - {""})
    return {name: _measure([outcome for outcome in outcomes if key(outcome) == name]) for name in names}


def _share(hits: Any) -> Measured:
    flags = [bool(hit) for hit in hits]
    if not flags:
        return None, None
    return sum(flags) / len(flags), wilson(sum(flags), len(flags))


def _ratio(above: Sequence[int], below: Sequence[int], name: str) -> Measured:
    if not sum(below):
        return None, None
    return sum(above) / sum(below), bootstrap_ratio(above, below, name)
