"""The quickstart's phases: seconds, tokens a second of sampling and learning, peak memory.

``python -m benchmarks.quickstart [--out DIR]`` makes a run and measures it. ``--run DIR`` reads the figures
of a run that is there, without its phases; ``--small`` makes a run of a few steps, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from benchmarks.report import finish, peak_gib, table

GOALS = {"seconds_at_most": 600.0, "seconds_aim": 300.0}
PHASES = {
    "base_model": "base model",
    "cold_start": "SFT",
    "reinforce": "reinforcement",
    "_evaluate": "evaluation",
    "write_report": "report",
}
RATES = ("learned_tokens_per_second", "sampled_tokens_per_second")


@contextmanager
def stopwatch(module: ModuleType) -> Iterator[dict[str, float]]:
    """Seconds spent in each of the quickstart's `PHASES`, measured around its own calls."""
    seconds = dict.fromkeys(PHASES.values(), 0.0)
    originals = {name: getattr(module, name) for name in PHASES}

    def timed(work: Callable[..., Any], phase: str, *args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return work(*args, **options)
        finally:
            seconds[phase] += time.perf_counter() - start

    try:
        for name, work in originals.items():
            setattr(module, name, partial(timed, work, PHASES[name]))
        yield seconds
    finally:
        for name, work in originals.items():
            setattr(module, name, work)


def stage_figures(folder: Path) -> dict[str, float]:
    """Steps, seconds and median rates of a stage, from its ``metrics.jsonl``."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    figures = {"steps": float(len(lines))}
    for name in ("seconds_learn", "seconds_collect"):
        figures[name] = sum(line.get(name) or 0.0 for line in lines)
    for line in lines:
        if "unique_tokens" in line and "seconds_learn" in line:
            line.setdefault(RATES[0], line["unique_tokens"] / line["seconds_learn"])
    for name in RATES:
        values = [line[name] for line in lines if line.get(name)]
        if values:
            figures[name] = median(values)
    return figures


def measure(out: Path, scratch: Path, *, small: bool) -> dict[str, Any]:
    """Make a run into `out`; seconds of the whole and of its phases, peak memory."""
    from toolwise.rollout import CollectorConfig, Limits
    from toolwise.systems import quickstart as module
    from toolwise.systems.almanac import heldout_questions
    from toolwise.systems.almanac_settings import ColdStartConfig, PretrainingConfig, ReinforcementConfig
    from toolwise.worlds.almanac import WorldSize, build_world

    config = module.QuickstartConfig()
    if small:
        os.environ["TOOLWISE_CACHE"] = str(scratch / "cache")
        # Most of the time would go into reading the whole world's text, and evaluating on it.
        size = WorldSize(known_people=60, unknown_people=60, towns=20, prizes=20, dishes=20)
        module.build_world = partial(build_world, size=size)
        module.heldout_questions = partial(heldout_questions, persons=4, others=2)
        limits = Limits(max_turns=2, max_turn_tokens=24)
        config = module.QuickstartConfig(
            pretraining=PretrainingConfig(passes=1, distinct=1),
            cold_start=ColdStartConfig(questions=8, person_questions=8, passes=1),
            reinforcement=ReinforcementConfig(
                steps=2, rollout=CollectorConfig(tasks_per_step=4, group_size=4, limits=limits)
            ),
        )
    start = time.perf_counter()
    with stopwatch(module) as phases:
        module.quickstart(out, config=config)
    return {"seconds": time.perf_counter() - start, "phases": phases, "peak_gib": peak_gib()}


def main() -> None:
    """Make or read a run, print the tables, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--run", type=Path, help="a run to read instead of making one")
    source.add_argument("--small", action="store_true", help="a few steps, to see that it works")
    parser.add_argument("--out", type=Path, help="where the run is kept (default: nowhere)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = given.run or given.out or Path(scratch) / "run"
        figures = measure(run, Path(scratch), small=given.small) if given.run is None else {}
        stages = {
            path.parent.name: stage_figures(path.parent) for path in sorted(run.glob("*/metrics.jsonl"))
        }
    if figures:
        whole = {"seconds": figures["seconds"]}
        table(
            "phase",
            ["seconds"],
            [(n, {"seconds": s}) for n, s in figures["phases"].items()] + [("all", whole)],
        )
    table("stage", ["steps", "seconds_learn", "seconds_collect", *RATES], list(stages.items()))
    finish("quickstart", figures | {"stages": stages, "small": given.small}, GOALS)


if __name__ == "__main__":
    main()
