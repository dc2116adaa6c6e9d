"""GRPO through TRL's trainer and through Toolwise: the same model folder, prompts, groups, tokens and steps.

``python -m benchmarks.vs_trl [--rounds N] [--steps N] [--size 13M]``. The sides take turns, each in a process
of its own, so that its peak memory is known; what is timed are whole training steps after a first one,
sampling, rewards and learning included. That one batch gives the same loss and gradient on both sides is
checked first. TRL samples with the transformers backend, its default where there is no GPU.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.folders import random_folder
from benchmarks.grpo_sides import WORKLOADS
from benchmarks.peers import ask, in_turns, ratios
from benchmarks.report import finish, table

GOALS = {"ratio_tool_shaped": 3.0, "ratio_single_turn": 1.3}
SIDES = "benchmarks.grpo_sides"


def main() -> None:
    """Measure, print the table, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each side runs (default 3)")
    parser.add_argument("--steps", type=int, default=2, help="steps that are timed in each (default 2)")
    parser.add_argument("--size", default="1.4M", help="of the model (default 1.4M)")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    given = parser.parse_args()
    found, agreement = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        random_folder(folder, given.size, [text for work in WORKLOADS.values() for text in work.prompts()])
        for name in given.only:
            more = [str(folder), name, str(given.steps)]
            agreement[name] = ask(SIDES, ["parity", *more])
            runs = in_turns(SIDES, ("trl", "toolwise"), more, given.rounds)
            found[name] = ratios(runs, "toolwise", "trl", "samples_per_second")
            for side, figures in runs.items():
                found[name][f"{side}_tokens_per_second"] = figures[-1]["tokens_per_second"]
    if any(errors["gradient_error"] > 1e-3 for errors in agreement.values()):
        raise SystemExit(f"the two losses do not agree: {agreement}")
    columns = ("ratio", "lowest", "highest", "toolwise", "trl", "toolwise_peak_gib", "trl_peak_gib")
    table("samples a second", columns, list(found.items()))
    table("agreement on one batch", ("loss_error", "gradient_error"), list(agreement.items()))
    figures = {f"ratio_{name}": values["ratio"] for name, values in found.items()}
    finish("vs_trl", figures | {"workloads": found, "agreement": agreement, "size": given.size}, GOALS)


if __name__ == "__main__":
    main()
