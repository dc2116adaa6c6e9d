"""What every benchmark ends with: a readable table, and one line of JSON with figures, goals and machine."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """What it was measured on."""
    import torch

    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def peak_gib() -> float:
    """The most memory that this process has held so far, in GiB."""
    # Linux counts in KiB, macOS in bytes.
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Mapping[str, float | str]]]) -> None:
    """Print figures, one row each; a figure that a row lacks stays empty.

    Args:
        title: Above the table, and of its first column.
        columns: Names of the figures.
        rows: (name of the row, its figures).
    """
    from rich.console import Console
    from rich.table import Table

    shown = Table(title, *(column.replace("_", " ") for column in columns))
    for name, figures in rows:
        shown.add_row(name, *(_number(figures[column]) if column in figures else "" for column in columns))
    console = Console()
    # In a file or a pipe there is no width to keep to.
    (console if console.is_terminal else Console(width=160)).print(shown)


def finish(name: str, figures: Mapping[str, Any], goals: Mapping[str, float]) -> None:
    """Print the last line.

    Args:
        name: Of the benchmark.
        figures: What was measured.
        goals: What the figures should reach.
    """
    print(json.dumps({"benchmark": name, "figures": figures, "goals": goals, "machine": machine()}))


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
