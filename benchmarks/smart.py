"""SMART in the almanac: tool calls saved and accuracy gained, as the paper computes its two headline figures.

``python -m benchmarks.smart [--seeds 0 1 2] [--out DIR]``. For each seed, two agents are compared. The
almanac's cold start, whose demonstrator calls too often, stands for the paper's tool-prompt baseline: an
instruction-tuned model that is given tools. As in the paper, SMART trains this very model further, on the
world's chains of equally many questions; with ``--start base`` it begins where the baseline began, with as
much training. The base model answering from memory stands for the reasoning baseline. A cell is one domain
of one seed.

- Saving: unweighted mean over cells of (baseline - SMART) / baseline tool calls, against the tool prompt.
- Gain: unweighted mean over cells of the relative change of a performance, against the cell's best baseline.
  Performance is accuracy, and for intention also missing-details recovery and coverage.

A cell that is 0 before has no relative change, is left out and counted. ``--split validation`` asks the
validation questions, for tuning; ``--small`` trains a few steps, to see that it works. A run that was stopped
goes on where it was, given --out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import finish, table

GOALS = {"saving_at_least": 0.24, "gain_above": 0.0, "accuracy_change_above": 0.0}
DOMAINS = ("math", "time", "intention", "two-hop")
DECISION = r"\. This is ([^.,]+)"
"""Where a chain of the almanac decides."""
TRAINED = ("tool prompt", "SMART")


def run_seed(seed: int, out: Path, *, start: str, split: str, small: bool) -> dict[str, Any]:
    """Train and measure everything of one seed; `start` is what SMART trains further."""
    from toolwise.evaluation import joined_overuse, summarise, tools_used, underuse
    from toolwise.learning import RunFolder
    from toolwise.systems.almanac import Agent, cold_start, evaluate, write_evaluation
    from toolwise.systems.almanac_settings import ColdStartConfig
    from toolwise.systems.almanac_smart import SmartAgent, from_memory
    from toolwise.systems.quickstart import almanac_files
    from toolwise.worlds.almanac import KINDS, ask, build_world, sample_questions

    world = build_world(0)
    base = Path(almanac_files.__file__).parent / "base"
    config = ColdStartConfig(questions=8, person_questions=8) if small else ColdStartConfig()
    counts = dict.fromkeys(KINDS, 80) | dict.fromkeys(("known person", "unknown person"), 160)
    chosen = sample_questions(world, split, dict.fromkeys(KINDS, 4) if small else counts)
    tasks = [ask(question, wording) for question, wording in chosen]
    memory = from_memory(Agent.load(world, base), chosen)
    found: dict[str, Any] = {"reasoning": _by_domain(memory)}
    checkpoint = base
    for name, kind in {"tool prompt": Agent, "SMART": SmartAgent}.items():
        folder = out / str(seed) / (name.replace(" ", "-") if kind is Agent else f"{name}-from-{start}")
        first = base if start == "base" else checkpoint
        checkpoint = cold_start(
            kind.load(world, first), config, RunFolder(folder, keep=1), seed=seed, progress=_said(name)
        )
        agent = kind.load(world, checkpoint)
        outcomes, trees = evaluate(agent, tasks, seed=seed)
        written = folder / "rollouts" / "eval.jsonl"
        write_evaluation(written, name, trees, outcomes, agent.tokenizer)
        summary = summarise(outcomes)
        joined = joined_overuse(memory, outcomes)
        found[name] = _by_domain(outcomes) | {
            **_intention(trees, outcomes),
            "accuracy": summary.accuracy,
            "calls": tools_used(outcomes),
            "overuse": summary.overuse,
            "underuse": summary.underuse,
            "joined_overuse": joined.rate,
            "underuse_rate": underuse(outcomes).value,
            "boundary_agreement": summary.boundary_agreement,
            "tool_productivity": summary.tool_productivity,
        }
        if name == "SMART":
            found[name] |= _confidence(written)
    return found


def _by_domain(outcomes: Sequence[Any]) -> dict[str, float]:
    from toolwise.evaluation import summarise, tools_used

    figures: dict[str, float] = {}
    for domain in DOMAINS:
        some = [outcome for outcome in outcomes if outcome.domain == domain]
        figures[f"calls {domain}"] = tools_used(some)
        figures[f"accuracy {domain}"] = summarise(some).accuracy or 0.0
    return figures


def _intention(trees: Sequence[Any], outcomes: Sequence[Any]) -> dict[str, float]:
    """Recovery and coverage where only the user has the answer: one detail a question, no judge needed."""
    from toolwise.evaluation import Intention, intention_coverage, missing_details_recovery
    from toolwise.tools.ask_user import NO_PREFERENCE

    runs = []
    for tree, outcome in zip(trees, outcomes, strict=True):
        if outcome.kind != "own preference":
            continue
        (rollout,) = tree.rollouts()
        said = [
            result.content for turn in rollout.turns for result in turn.results if result.name == "ask_user"
        ]
        covered = any(reply != NO_PREFERENCE and not reply.startswith("Error") for reply in said)
        runs.append(Intention(((3, covered),), (outcome.correct,) * len(said), rollout.answer is not None))
    recovered, coverage = missing_details_recovery(runs, 3), intention_coverage(runs)
    return {"recovery L3": recovered.value or 0.0, "coverage": coverage.value or 0.0}


def _confidence(path: Path) -> dict[str, Any]:
    from toolwise.core.records import read_rows
    from toolwise.evaluation.decisions import confidence, decisions
    from toolwise.worlds.almanac.chains import KNOWN

    known = frozenset({KNOWN.removeprefix("This is ").rstrip(".")})
    found = []
    for row in read_rows(path):
        # The first decision of a rollout: whether to call at all.
        found += decisions(row.record, DECISION, known)[:1]
    both = confidence(found)
    return {
        "decisions_right": len(both.right),
        "decisions_wrong": len(both.wrong),
        "confidence_right": both.mean_right,
        "confidence_wrong": both.mean_wrong,
    }


def headlines(seeds: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Saving and gain over all cells, and the plain change of accuracy, as means over seeds."""
    from toolwise.evaluation import macro_decrease, macro_increase

    calls: dict[str, dict[str, float]] = {"tool prompt": {}, "SMART": {}}
    best: dict[str, float] = {}
    smart: dict[str, float] = {}
    for seed, found in seeds.items():
        for domain in DOMAINS:
            for name, cells in calls.items():
                cells[f"{seed} {domain}"] = found[name][f"calls {domain}"]
        measures = [f"accuracy {domain}" for domain in DOMAINS] + ["recovery L3", "coverage"]
        for measure in measures:
            # A model that asks nobody has no recovery and no coverage.
            best[f"{seed} {measure}"] = max(
                found[name].get(measure, 0.0) for name in ("reasoning", "tool prompt")
            )
            smart[f"{seed} {measure}"] = found["SMART"][measure]
    better = [found["SMART"]["accuracy"] - found["tool prompt"]["accuracy"] for found in seeds.values()]
    saved = {cell for cell, value in calls["tool prompt"].items() if value}
    gained = {cell for cell, value in best.items() if value}
    figures = {
        "accuracy_change": sum(better) / len(better),
        "cells_left_out": float(len(best) + len(calls["SMART"]) - len(saved) - len(gained)),
    }
    if saved:
        figures["saving"] = macro_decrease(*({cell: side[cell] for cell in saved} for side in calls.values()))
    if gained:
        figures["gain"] = macro_increase(*({cell: side[cell] for cell in gained} for side in (best, smart)))
    return figures


def _said(name: str) -> Any:
    def show(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step % 100 == 0 or step == steps:
            print(f"{name}: step {step} of {steps}, loss {metrics['loss']:.3f}", flush=True)

    return show


def main() -> None:
    """Run every seed, print the tables, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the trained agents")
    parser.add_argument("--out", type=Path, help="where the runs are kept (default: nowhere)")
    parser.add_argument(
        "--start",
        choices=("tool-prompt", "base"),
        default="tool-prompt",
        help="what SMART trains further: the baseline's own model, as in the paper, or the base model",
    )
    parser.add_argument("--split", choices=["heldout", "validation"], default="heldout")
    parser.add_argument("--small", action="store_true", help="a few steps, to see that it works")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        settings = {"start": given.start, "split": given.split, "small": given.small}
        seeds = {str(seed): run_seed(seed, out, **settings) for seed in given.seeds}
    for seed, found in seeds.items():
        for what in ("calls", "accuracy"):
            columns = [f"{what} {domain}" for domain in DOMAINS]
            table(f"seed {seed}", columns, list(found.items()))
        rest = ("accuracy", "calls", "joined_overuse", "overuse", "underuse", "boundary_agreement")
        rest += ("tool_productivity", "recovery L3", "coverage", "confidence_right", "confidence_wrong")
        trained = [
            (name, {key: value for key, value in found[name].items() if value is not None})
            for name in TRAINED
        ]
        table(f"seed {seed}", list(rest[:6]), trained)
        table(f"seed {seed}", list(rest[6:]), trained)
    reached = headlines(seeds)
    table("all seeds", ["saving", "gain", "accuracy_change"], [("SMART", reached)])
    finish("smart", reached | {"seeds": seeds} | settings, GOALS)


if __name__ == "__main__":
    main()
