"""What the page shows of ``results.json``: the table, the boundary picture and the breakdowns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolwise.evaluation import MEASURES
from toolwise.reports.run_folder import Record

SHARES = {"accuracy", "accuracy_within", "accuracy_beyond", "overuse", "underuse", "boundary_agreement"}

HEADINGS = {
    "accuracy": "accuracy",
    "accuracy_within": "accuracy within",
    "accuracy_beyond": "accuracy beyond",
    "calls_within": "calls within",
    "calls_beyond": "calls beyond",
    "overuse": "overuse",
    "underuse": "underuse",
    "boundary_agreement": "boundary agreement",
    "tool_productivity": "correct per call",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure and its 95% interval, as shown; empty texts where there is none."""

    heading: str
    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Share of questions on which a tool was called, in percent, with its interval and the ideal."""

    needed: bool
    share: float
    low: float | None
    high: float | None

    @property
    def ideal(self) -> int:
        """0 where no tool is needed, 100 where one is."""
        return 100 if self.needed else 0


@dataclass(frozen=True, slots=True)
class Row:
    """A policy in a picture or table."""

    policy: str
    lanes: tuple[Lane, ...]
    cells: tuple[Cell, ...]
    accuracy: str
    agreement: str
    questions: int


@dataclass(frozen=True, slots=True)
class Facet:
    """One picture or table: its title and a row for each policy."""

    title: str
    note: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Square:
    """One cell of a crossing.

    Attributes:
        questions: Number of questions.
        share: Of the questions of the same row, in percent.
        correct: Share answered correctly, as shown.
        good: Whether this is where they should be; None where nobody knows.
    """

    questions: int
    share: float
    correct: str
    good: bool | None


@dataclass(frozen=True, slots=True)
class CrossingView:
    """What a policy knows × what it did: rows of a heading, the questions called for, and the others."""

    policy: str
    rows: tuple[tuple[str, Square, Square], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that is shown of the held-out questions."""

    table: tuple[Row, ...]
    picture: tuple[Facet, ...]
    levels: tuple[Facet, ...]
    kinds: tuple[Facet, ...]
    crossings: tuple[CrossingView, ...]


SIDES = (
    ("within", "known: no tool needed", False),
    ("beyond", "unknown: a tool needed", True),
    ("unlabelled", "uncertain or not said", None),
)
"""Key of a row of a crossing, its heading, and whether a call is right there."""

LEVEL_NOTES = {
    "type": "the kind of question tells",
    "entity": "only the very person or thing tells",
}


def results_view(records: Sequence[Record]) -> Results | None:
    """Prepare the records of ``results.json``; None if there are none."""
    if not records:
        return None
    names = _names(records)
    table = tuple(_row(name, record, MEASURES) for name, record in zip(names, records, strict=True))
    picture = [_facet("all questions", "", names, records, ())]
    levels = _breakdown("by_level", names, records, ("accuracy", "overuse", "underuse", "boundary_agreement"))
    kinds = _breakdown("by_kind", names, records, ())
    picture += [Facet(f"by {facet.title}", facet.note, facet.rows) for facet in levels]
    return Results(
        table=table,
        picture=tuple(facet for facet in picture if any(row.lanes for row in facet.rows)),
        levels=tuple(levels),
        kinds=tuple(kinds),
        crossings=tuple(
            view for name, record in zip(names, records, strict=True) if (view := _crossing(name, record))
        ),
    )


def _crossing(policy: str, record: Record) -> CrossingView | None:
    crossing = record.get("crossing")
    rows = []
    for side, heading, called_is_good in SIDES:
        cells = crossing.get(side) if isinstance(crossing, dict) else None
        counts = [_counts(cells, done) for done in ("called", "not_called")]
        total = sum(questions for questions, _ in counts)
        if total:
            called, others = (
                Square(
                    questions,
                    round(100 * questions / total, 1),
                    f"{100 * correct / questions:.0f}%" if questions else "–",
                    None if called_is_good is None else called_is_good == is_called,
                )
                for (questions, correct), is_called in zip(counts, (True, False), strict=True)
            )
            rows.append((heading, called, others))
    # Without a question that is known to lie on one side, there is nothing to cross.
    known = any(heading != SIDES[-1][1] for heading, _, _ in rows)
    return CrossingView(policy, tuple(rows)) if known else None


def _counts(cells: Any, done: str) -> tuple[int, int]:
    cell = cells.get(done) if isinstance(cells, dict) else None
    if not isinstance(cell, dict):
        return 0, 0
    questions, correct = (_number(cell.get(key)) or 0.0 for key in ("questions", "correct"))
    return max(0, int(questions)), max(0, int(correct))


def _names(records: Sequence[Record]) -> list[str]:
    """Policy names, with the seed where a policy stands there several times."""
    plain = [str(record["policy"]) for record in records]
    return [
        f"{name} · seed {record.get('seed')}" if plain.count(name) > 1 else name
        for name, record in zip(plain, records, strict=True)
    ]


def _breakdown(
    key: str, names: Sequence[str], records: Sequence[Record], measures: Sequence[str]
) -> list[Facet]:
    tables: list[Record] = [part if isinstance(part := record.get(key), dict) else {} for record in records]
    parts = {part for table in tables for part in table}
    if key == "by_level":
        ordered = sorted(parts, key=lambda part: (part != "type", part))
    else:
        ordered = sorted(parts, key=lambda part: (_needs(tables, part), part))
    found = []
    for part in ordered:
        rows = [(name, table.get(part)) for name, table in zip(names, tables, strict=True)]
        present = [(name, row) for name, row in rows if isinstance(row, dict)]
        if not present:
            continue
        facet = _facet(
            part,
            LEVEL_NOTES.get(part, ""),
            [name for name, _ in present],
            [row for _, row in present],
            measures,
        )
        found.append(facet)
    return found


def _needs(tables: Sequence[Record], part: str) -> bool:
    """Whether a kind of question needs a tool, as far as the figures tell."""
    rows = [table[part] for table in tables if part in table and isinstance(table[part], dict)]
    return any(_number(row.get("underuse")) is not None for row in rows)


def _facet(
    title: str, note: str, names: Sequence[str], records: Sequence[Record], measures: Sequence[str]
) -> Facet:
    return Facet(
        title, note, tuple(_row(name, record, measures) for name, record in zip(names, records, strict=True))
    )


def _row(name: str, record: Record, measures: Sequence[str]) -> Row:
    lanes = []
    within = _number(record.get("overuse"))
    if within is not None:
        low, high = _interval(record, "overuse") or (None, None)
        lanes.append(Lane(False, within * 100, _percent(low), _percent(high)))
    missed = _number(record.get("underuse"))
    if missed is not None:
        low, high = _interval(record, "underuse") or (None, None)
        turned = (None if bound is None else 1 - bound for bound in (high, low))
        lanes.append(Lane(True, (1 - missed) * 100, *(_percent(bound) for bound in turned)))
    questions = _number(record.get("questions"))
    return Row(
        policy=name,
        lanes=tuple(lanes),
        cells=tuple(_cell(record, measure) for measure in measures),
        accuracy=_rounded(record.get("accuracy")),
        agreement=_rounded(record.get("boundary_agreement")),
        questions=int(questions or 0),
    )


def _cell(record: Record, measure: str) -> Cell:
    value, bounds = _number(record.get(measure)), _interval(record, measure)
    if value is None:
        return Cell(HEADINGS[measure], "–", "")
    if measure in SHARES:
        shown = "" if bounds is None else f"{bounds[0] * 100:.1f} – {bounds[1] * 100:.1f}"
        return Cell(HEADINGS[measure], f"{value * 100:.1f}%", shown)
    shown = "" if bounds is None else f"{bounds[0]:.2f} – {bounds[1]:.2f}"
    return Cell(HEADINGS[measure], f"{value:.2f}", shown)


def _interval(record: Record, measure: str) -> tuple[float, float] | None:
    intervals = record.get("intervals")
    bounds = intervals.get(measure) if isinstance(intervals, dict) else None
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        return None
    low, high = _number(bounds[0]), _number(bounds[1])
    return None if low is None or high is None else (low, high)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _rounded(value: Any) -> str:
    share = _number(value)
    return "–" if share is None else f"{share * 100:.0f}%"


def _percent(value: float | None) -> float | None:
    return None if value is None else round(value * 100, 2)
