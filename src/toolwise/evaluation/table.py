"""The table of results on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from toolwise.evaluation.intervals import wilson
from toolwise.evaluation.metrics import Summary
from toolwise.evaluation.probe import Knowledge, KnowledgeLabel, Thresholds

ROWS = (
    ("accuracy", "accuracy", "%"),
    ("accuracy_within", "… within knowledge", "%"),
    ("accuracy_beyond", "… beyond it", "%"),
    ("calls_within", "calls within knowledge", "×"),
    ("calls_beyond", "calls beyond it", "×"),
    ("overuse", "overuse", "%"),
    ("underuse", "underuse", "%"),
    ("boundary_agreement", "boundary agreement", "%"),
    ("tool_productivity", "tool productivity", "×"),
)
"""Measure, name of its row, and unit: a share shown in percent, or a plain figure."""


def results_table(summaries: Mapping[str, Summary], title: str = "Held-out questions") -> Table:
    """One column per policy, a figure with its 95% interval for each measure; three fit 80 columns.

    A measure that no policy has, because the questions do not say what it needs, gets no row. Boundary
    agreement is also shown for each level of the boundary.

    Args:
        summaries: By policy, in the order of the columns.
        title: Stands above the table.
    """
    counts = sorted({summary.questions for summary in summaries.values()})
    asked = " / ".join(str(count) for count in counts)
    named = any(summary.boundary_agreement is not None for summary in summaries.values())
    meanings = ["within: no tool needed", "beyond: a tool needed"] if named else []
    table = Table(
        title=f"{title} ({asked} per policy)" if counts else title,
        caption=" · ".join([*meanings, "dim: 95% interval"]),
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for policy in summaries:
        table.add_column(Text(policy, style="bold"), justify="right", overflow="fold", min_width=14)
    for name, heading, unit in ROWS:
        _add_row(table, heading, list(summaries.values()), name, unit)
        if name == "boundary_agreement":
            levels = sorted({level for summary in summaries.values() for level in summary.by_level})
            for level in levels:
                parts = [summary.by_level.get(level) for summary in summaries.values()]
                _add_row(table, f"… by {level}", parts, name, unit)
    return table


def knowledge_table(policy: str, found: Sequence[Knowledge], thresholds: Thresholds) -> Table:
    """What a probe found: how many questions are known, uncertain and unknown.

    Args:
        policy: Name of the model.
        found: One for each question.
        thresholds: By which they were labelled.
    """
    samples = sorted({knowledge.samples for knowledge in found})
    asked = " / ".join(str(count) for count in samples)
    table = Table(
        title=Text(f"What {policy} knows without tools ({asked} samples a question)"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for heading in ("", "right answers", "questions", "share %"):
        table.add_column(heading, justify="left" if not heading else "right")
    ranges = {
        KnowledgeLabel.KNOWN: f"from {thresholds.known_from:.0%}",
        KnowledgeLabel.UNCERTAIN: "between",
        KnowledgeLabel.UNKNOWN: f"up to {thresholds.unknown_up_to:.0%}",
    }
    for label, meant in ranges.items():
        count = sum(knowledge.label is label for knowledge in found)
        bounds = wilson(count, len(found))
        share = count / len(found) if found else None
        table.add_row(str(label), meant, str(count), cell(share, bounds, "%"))
    return table


def _add_row(table: Table, heading: str, summaries: Sequence[Summary | None], name: str, unit: str) -> None:
    values = [None if summary is None else getattr(summary, name) for summary in summaries]
    if any(value is not None for value in values):
        cells = [
            cell(value, summary.intervals.get(name) if summary else None, unit)
            for value, summary in zip(values, summaries, strict=True)
        ]
        table.add_row(f"{heading} %" if unit == "%" else heading, *cells)


def cell(value: float | None, bounds: tuple[float, float] | None, unit: str) -> Text:
    """A figure with its interval, dim; a dash where there is none.

    Args:
        value: The figure.
        bounds: Lower and upper bound.
        unit: ``%`` shows shares in percent.
    """
    if value is None:
        return Text("–", style="dim")
    scale, digits = (100, 1) if unit == "%" else (1, 2)
    shown = Text(f"{value * scale:.{digits}f}")
    if bounds is not None:
        low, high = (f"{bound * scale:.{digits - 1 if unit == '%' else digits}f}" for bound in bounds)
        shown.append(f" {low}–{high}", style="dim")
    return shown
