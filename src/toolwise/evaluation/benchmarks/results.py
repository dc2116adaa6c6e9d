"""The results of a benchmark: table and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from toolwise.evaluation.benchmarks.benchmark import Measure, ScoredItem
from toolwise.evaluation.table import cell


def measures_table(columns: Mapping[str, Sequence[Measure]], title: str) -> Table:
    """One row per measure, one column per model, each figure with its 95% interval.

    Args:
        columns: Measures by model, in the order of the columns.
        title: Stands above the table.
    """
    table = Table(
        title=Text(title), caption="dim: 95% interval", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    table.add_column("", no_wrap=True)
    table.add_column("items", justify="right")
    for model in columns:
        table.add_column(Text(model, style="bold"), justify="right", overflow="fold", min_width=14)
    rows: dict[str, list[Measure | None]] = {}
    for place, measures in enumerate(columns.values()):
        for measure in measures:
            rows.setdefault(measure.name, [None] * len(columns))[place] = measure
    for name, found in rows.items():
        first = next(measure for measure in found if measure is not None)
        cells = [cell(m.value if m else None, m.interval if m else None, first.unit) for m in found]
        table.add_row(Text(f"{name} %" if first.unit == "%" else name), str(first.items), *cells)
    return table


def benchmark_record(benchmark: str, model: str, measures: Sequence[Measure]) -> dict[str, Any]:
    """One record of ``results.json``: for each measure its value, interval and number of items."""
    return {
        "benchmark": benchmark,
        "policy": model,
        "measures": {
            measure.name: {
                "value": measure.value,
                "interval": None if measure.interval is None else list(measure.interval),
                "items": measure.items,
            }
            for measure in measures
        },
    }


def item_record(item: ScoredItem) -> dict[str, Any]:
    """What became of one item: verdict, parts, why it is wrong, and the calls that were read."""
    return {
        "id": item.task.id,
        "category": item.category,
        "correct": item.score.correct,
        **({"parts": dict(item.score.parts)} if item.score.parts else {}),
        **({"fault": item.score.fault} if item.score.fault else {}),
        **({"detail": item.score.detail} if item.score.detail else {}),
    }
