"""The table of results on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from toolwise.evaluation.metrics import Summary

COLUMNS = (
    ("accuracy", "accu- racy", "%", 6),
    ("accuracy_within", "within", "%", 6),
    ("accuracy_beyond", "beyond", "%", 6),
    ("calls_within", "calls within", "×", 9),
    ("calls_beyond", "calls beyond", "×", 9),
    ("overuse", "over- use", "%", 6),
    ("underuse", "under- use", "%", 6),
    ("boundary_agreement", "agree- ment", "%", 6),
    ("tool_productivity", "correct / call", "×", 9),
)
"""Measure, heading, unit (a share shown in percent, or a plain figure) and width."""


def results_table(summaries: Mapping[str, Summary], title: str = "Held-out questions") -> Table:
    """One row per policy, with the 95% interval under each figure; fits 80 columns.

    A measure that no policy has, because the questions do not say what it needs, gets no column.

    Args:
        summaries: By policy, in the order of the rows.
        title: Stands above the table.
    """
    counts = sorted({summary.questions for summary in summaries.values()})
    asked = " / ".join(str(count) for count in counts)
    columns = [
        column
        for column in COLUMNS
        if any(getattr(summary, column[0]) is not None for summary in summaries.values())
    ]
    bounded = {"accuracy_within", "accuracy_beyond"} & {name for name, *_ in columns}
    meanings = ["within: no tool needed", "beyond: a tool needed"] if bounded else []
    table = Table(
        title=f"{title} ({asked} per policy)" if counts else title,
        caption=" · ".join([*meanings, "small figures: 95% interval"]),
        box=box.SIMPLE_HEAD,
        padding=(0, 0),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("policy", vertical="top", overflow="fold", min_width=8, max_width=14)
    for _, heading, unit, width in columns:
        label = f"{heading} %" if unit == "%" else heading
        table.add_column(label, justify="right", vertical="top", width=width)
    for policy, summary in summaries.items():
        cells = [
            _cell(getattr(summary, name), summary.intervals.get(name), unit) for name, _, unit, _ in columns
        ]
        table.add_row(Text(policy, style="bold"), *cells)
    return table


def _cell(value: float | None, bounds: tuple[float, float] | None, unit: str) -> Text:
    if value is None:
        return Text("–", style="dim")
    scale, digits = (100, 1) if unit == "%" else (1, 2)
    cell = Text(f"{value * scale:.{digits}f}")
    if bounds is not None:
        low, high = (f"{bound * scale:.{digits - 1 if unit == '%' else digits}f}" for bound in bounds)
        cell.append(f"\n{low}–{high}", style="dim")
    return cell
