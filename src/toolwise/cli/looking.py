"""``toolwise report``, ``toolwise doctor`` and ``toolwise systems``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, finished or still growing.")]


def report(
    run: Run,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: report.html in RUN.")] = None,
) -> None:
    """Write the page of a run: results, learning curves, rollouts to read. One file, no network.

    Example: toolwise report runs/otc-grpo
    """
    from rich.console import Console

    from toolwise.reports import write_report

    Console().print(f"report: {write_report(run, out)}", highlight=False, markup=False, soft_wrap=True)


def doctor(run: Run) -> None:
    """Say why a run does not learn, with the figures that show it and what to try.

    Example: toolwise doctor runs/otc-grpo
    """
    from rich.console import Console

    from toolwise.reports import diagnose, findings_panel

    Console().print(findings_panel(diagnose(run)))


def systems() -> None:
    """The published systems: which ones run, by which recipe, and which do not yet.

    Example: toolwise systems
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from toolwise.systems.table import SYSTEMS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Published systems")
    for heading in ("system", "paper", "about", "state", "recipe / what is missing"):
        table.add_column(heading, overflow="fold")
    styles = {"runs": "green", "parts": "yellow", "not yet": "dim"}
    for entry in SYSTEMS:
        how = ", ".join(entry.recipes)
        how = f"{how} ({entry.note})" if how and entry.note else how or entry.note
        table.add_row(
            entry.name, entry.paper, entry.topic, f"[{styles[entry.state]}]{entry.state}[/]", how, style=""
        )
    Console().print(table)
