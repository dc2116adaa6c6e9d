"""Every speed benchmark in turn, and one table: ``python -m benchmarks.all``, or ``make bench``."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import learner, rollouts, sft, vs_trl
from benchmarks.report import finish, table

PARTS = {"learner": learner, "rollouts": rollouts, "vs_trl": vs_trl, "sft": sft}


def main() -> None:
    """Run each part in a process of its own; what it prints is shown as it comes."""
    rows, figures, goals = [], {}, {}
    for name, module in PARTS.items():
        lines = []
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as part:
            for line in part.stdout or ():
                lines.append(line)
                print(line, end="", flush=True)
        if part.returncode:
            raise SystemExit(f"benchmarks.{name} ended with {part.returncode}")
        found = json.loads(lines[-1])["figures"]
        for goal, value in module.GOALS.items():
            ratio = goal.removesuffix("_at_most")
            goals[goal] = value
            figures[ratio] = found[ratio]
            sign = "at most " if ratio != goal else "at least "
            reached = found[ratio] <= value if ratio != goal else found[ratio] >= value
            shown = {
                "measured": f"{found[ratio]:.2f}",
                "goal": f"{sign}{value}",
                "reached": "yes" if reached else "no",
            }
            rows.append((ratio, shown))
    table("ratio", ("measured", "goal", "reached"), rows)
    finish("all", figures, goals)


if __name__ == "__main__":
    main()
