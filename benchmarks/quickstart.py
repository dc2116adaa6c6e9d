"""The quickstart's phases: seconds, tokens a second of sampling and learning, peak memory.

``python -m benchmarks.quickstart [--out DIR]`` makes a run, ``--run DIR`` reads one that is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

GOALS = {"seconds_at_most": 600, "seconds_aim": 300}


def stage_figures(folder: Path) -> dict[str, float]:
    """Seconds of a stage and its median rates, from ``metrics.jsonl``."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    figures = {"steps": float(len(lines))}
    figures["seconds_learn"] = sum(line.get("seconds_learn") or 0.0 for line in lines)
    figures["seconds_collect"] = sum(line.get("seconds_collect") or 0.0 for line in lines)
    for name in ("learned_tokens_per_second", "sampled_tokens_per_second"):
        values = [line[name] for line in lines if line.get(name)]
        if values:
            figures[name] = median(values)
    if "learned_tokens_per_second" not in figures:
        rates = [line["unique_tokens"] / line["seconds_learn"] for line in lines if line.get("unique_tokens")]
        figures |= {"learned_tokens_per_second": median(rates)} if rates else {}
    return figures


def main() -> None:
    """Run or read, print a table, then the JSON line."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the run is made (default: a temporary folder)")
    parser.add_argument("--run", type=Path, help="a run to read instead of making one")
    given = parser.parse_args()
    seconds = None
    run = given.run
    if run is None:
        from toolwise.systems.quickstart import quickstart

        run = given.out or Path(tempfile.mkdtemp())
        start = time.perf_counter()
        quickstart(run)
        seconds = time.perf_counter() - start
    stages = {
        folder.name: stage_figures(folder)
        for folder in sorted(run.iterdir())
        if (folder / "metrics.jsonl").is_file()
    }
    table = Table("stage", "steps", "learn s", "collect s", "learned tokens/s", "sampled tokens/s")
    names = (
        "steps",
        "seconds_learn",
        "seconds_collect",
        "learned_tokens_per_second",
        "sampled_tokens_per_second",
    )
    for stage, figures in stages.items():
        table.add_row(stage, *(f"{figures[name]:.0f}" if name in figures else "" for name in names))
    Console().print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    result: dict[str, Any] = {"benchmark": "quickstart", "stages": stages, "goals": GOALS}
    if seconds is not None:
        result |= {"seconds": seconds, "peak_gib": peak}
    result["machine"] = {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
