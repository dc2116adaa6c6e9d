"""``toolwise show decisions``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolwise.core import ToolwiseError

Rollouts = Annotated[
    Path, typer.Argument(metavar="FILE", help="What toolwise evaluate wrote: rollouts/NAME.jsonl.")
]
BINS = 10


def show_decisions(
    rollouts: Rollouts,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="What marks a decision; its first group is the mark. Default: SMART's [[indicators]], else "
            "the (general reasoning) and (tool: …) of its steps.",
        ),
    ] = None,
    no_tool: Annotated[
        list[str] | None,
        typer.Option(metavar="MARK", help="Marks of a step without a tool; may be repeated."),
    ] = None,
) -> None:
    """How sure a policy was of calling a tool or not: right decisions against wrong ones.

    A decision is wrong if a tool is called on a question that needs none (info.needs_tool of the task is
    false), or if none is called though one is needed.

    Example: toolwise show decisions runs/smart/evaluation/rollouts/smart.jsonl
    """
    import re

    from rich.console import Console
    from rich.table import Table

    from toolwise.core.records import read_rows
    from toolwise.evaluation.decisions import NO_TOOL, confidence, decisions

    if pattern is not None:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ToolwiseError(
                f"is no regular expression: {error}", where="--pattern", mend="mend it"
            ) from error
        if groups != 1:
            raise ToolwiseError(f"has {groups} groups", where="--pattern", mend="put the mark into one group")
    found = []
    for row in read_rows(rollouts):
        if row.problem or not isinstance(row.record, dict) or not {"turns", "info"} <= set(row.record):
            raise ToolwiseError(
                row.problem or "is no rollout", where=f"{rollouts}, row {row.number}", mend="evaluate again"
            )
        found += decisions(row.record, pattern, frozenset(no_tool) if no_tool else NO_TOOL)
    if not found:
        raise ToolwiseError(
            "holds no decision of a question whose info says needs_tool",
            where=str(rollouts),
            mend="evaluate on tasks that say it, with a dialect whose steps are marked, or give --pattern",
        )
    both = confidence(found)
    table = Table("probability of the decision", "right", "wrong", box=None, pad_edge=False)
    for place in range(BINS):
        low, high = place / BINS, (place + 1) / BINS
        cells = [_bar(values, low, high) for values in (both.right, both.wrong)]
        table.add_row(f"{low:.1f} to {high:.1f}", *cells)
    table.add_row("mean", _mean(both.mean_right, both.right), _mean(both.mean_wrong, both.wrong))
    Console().print(table)


def _bar(values: tuple[float, ...], low: float, high: float) -> str:
    count = sum(low <= value < high or (high == 1 and value >= 1) for value in values)
    return f"{'█' * round(20 * count / len(values)) if values else ''} {count}".strip()


def _mean(mean: float | None, values: tuple[float, ...]) -> str:
    return "–" if mean is None else f"{mean:.3f} ({len(values)})"
