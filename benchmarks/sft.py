"""Supervised training on packed demonstrations, through TRL's trainer and through Toolwise.

``python -m benchmarks.sft [--rounds N] [--steps N] [--size 1.4M]``. The same model folder and demonstrations,
as many tokens a step, only the answers trained on. The sides take turns, each in a process of its own. TRL
packs (``packing=True``) into rows of 2048 tokens, in which without FlashAttention every demonstration also
sees the ones before it; Toolwise's packs keep them apart. That an unpacked demonstration gives the same loss
and gradient on both sides is checked first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.folders import random_folder
from benchmarks.peers import ask, in_turns, ratios
from benchmarks.report import finish, table
from benchmarks.sft_sides import demonstrations

GOALS = {"ratio_packed_sft": 1.2}
SIDES = "benchmarks.sft_sides"


def main() -> None:
    """Measure, print the table, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each side runs (default 3)")
    parser.add_argument("--steps", type=int, default=4, help="steps that are timed in each (default 4)")
    parser.add_argument("--size", default="1.4M", help="of the model (default 1.4M)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        random_folder(folder, given.size, [text for pair in demonstrations() for text in pair])
        agreement = ask(SIDES, ["parity", str(folder), "1"])
        runs = in_turns(SIDES, ("trl", "toolwise"), [str(folder), str(given.steps)], given.rounds)
    if agreement["gradient_error"] > 1e-3:
        raise SystemExit(f"the two losses do not agree: {agreement}")
    found = ratios(runs, "toolwise", "trl", "tokens_per_second")
    table("tokens a second", list(found), [("packed", found)])
    finish("sft", {"ratio_packed_sft": found["ratio"], "packed": found, "agreement": agreement}, GOALS)


if __name__ == "__main__":
    main()
