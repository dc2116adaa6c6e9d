"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN = (
    ("loss", "loss"),
    ("validation_loss", "validation"),
    ("reward_mean", "reward"),
    ("reward_format", "format"),
    ("accuracy", "accuracy"),
    ("calls_per_rollout", "calls"),
    ("clipped_share", "cut"),
)
"""Metrics that the bar shows, and how it calls them."""

PAUSE = 10.0
"""Seconds between two lines where there is no terminal."""


class Report(Protocol):
    """Hears of each step: its number from 1, the number of steps, the metrics."""

    def __call__(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Show it."""
        ...


@contextmanager
def progress(console: Console, what: str) -> Iterator[Report]:
    """Show how far the work is, for as long as the block runs.

    Args:
        console: Where.
        what: What is done, in one or two words.
    """
    if not console.is_terminal:
        yield _lines(console, what)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", style="dim"),
        console=console,
    )
    with bar:
        task = bar.add_task(what, total=None, figures="")

        def report(step: int, steps: int, metrics: Mapping[str, float]) -> None:
            bar.update(task, completed=step, total=steps, figures=figures(metrics))

        yield report


def figures(metrics: Mapping[str, float], shown: Sequence[tuple[str, str]] = SHOWN) -> str:
    """The metrics that matter, in one line."""
    policy = "reward_mean" in metrics  # a policy loss says nothing to people
    return "  ".join(
        f"{label} {metrics[name]:.3g}"
        for name, label in shown
        if name in metrics and not (policy and name == "loss")
    )


def _lines(console: Console, what: str) -> Report:
    last = 0.0

    def report(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        nonlocal last
        now = time.monotonic()
        if step == steps or now - last >= PAUSE:
            last = now
            line = f"{what} {step}/{steps}  {figures(metrics)}".rstrip()
            console.print(line, highlight=False, markup=False)

    return report
