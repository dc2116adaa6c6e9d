"""Rollouts with tools: against TRL's built-in loop, and with tools that let one wait.

``python -m benchmarks.rollouts [--rounds N] [--size 1.4M]``. A tiny model is trained on the spot to call a
tool three times and then to answer (four turns, prompts of about 400 tokens, groups of 8).

- ``ratio_vs_trl_loop``: sampled tokens a second through Toolwise's loop over those through TRL's
  (transformers backend), with tools that answer at once; the sides take turns, each in a process of its own.
- ``ratio_batch64``: the time of 64 rollouts whose tools take 50 to 500 ms (log-normal; one call in fifty
  takes 10 s and is cut off at 2 s) over the larger of their sampling alone and the slowest of them alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.folders import calling_folder
from benchmarks.peers import ask, in_turns, ratios
from benchmarks.report import finish, table

GOALS = {"ratio_vs_trl_loop": 2.5, "ratio_batch64_at_most": 1.15}
SIDES = "benchmarks.rollout_sides"


def main() -> None:
    """Measure, print the tables, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each side runs (default 3)")
    parser.add_argument("--size", default="1.4M", help="of the model (default 1.4M)")
    parser.add_argument(
        "--folder", type=Path, help="keep the trained model here, or take the one that is there"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "model"
        if not (folder / "config.json").is_file():
            calling_folder(folder, given.size)
        runs = in_turns(SIDES, ("trl", "toolwise"), [str(folder), "2"], given.rounds)
        waits = [ask(SIDES, ["waits", str(folder), "1"]) for _ in range(given.rounds)]
    loop = ratios(runs, "toolwise", "trl", "tokens_per_second")
    for side, figures in runs.items():
        loop[f"{side}_calls"] = statistics.mean(one["calls_per_rollout"] for one in figures)
    table("sampled tokens a second", list(loop), [("four turns", loop)])
    batch = {name: statistics.median(one[name] for one in waits) for name in waits[0]}
    batch |= {"lowest": min(one["ratio"] for one in waits), "highest": max(one["ratio"] for one in waits)}
    columns = ("ratio", "lowest", "highest", "batch", "sampling", "slowest")
    table("64 rollouts, seconds", columns, [("slow tools", batch)])
    figures = {"ratio_vs_trl_loop": loop["ratio"], "ratio_batch64": batch["ratio"]}
    finish("rollouts", figures | {"loop": loop, "waits": batch, "size": given.size}, GOALS)


if __name__ == "__main__":
    main()
