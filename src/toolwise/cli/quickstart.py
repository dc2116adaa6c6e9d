"""``toolwise quickstart``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything is written.")] = Path(
        "runs/quickstart"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first run.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of runs with seeds one after the other, each in DIR/seed-N.")
    ] = 1,
) -> None:
    """Train an agent from nothing in minutes, and see it learn when to use its tools.

    Example: toolwise quickstart --out runs/first
    """
    from toolwise.systems import quickstart as system

    if seeds == 1:
        system.quickstart(out, seed=seed)
        return
    for number in range(seed, seed + seeds):
        system.quickstart(out / f"seed-{number}", seed=number)
