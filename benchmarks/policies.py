"""GRPO, PPO, OTC-GRPO and OTC-PPO on the almanac, from one policy a seed: accuracy, calls, productivity.

``python -m benchmarks.policies --seeds 0 1 2 [--out DIR]``. Runs in DIR go on where they stopped. ``--only``
trains some of the policies; ``--split validation`` asks the validation questions, for tuning; ``--small``
takes a few steps, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import finish, table
from toolwise.evaluation import Outcome, summarise
from toolwise.evaluation.intervals import bootstrap_ratio
from toolwise.rewards import otc_metrics
from toolwise.systems.quickstart import QuickstartConfig, Treatment, grpo_treatments

GOALS = {"fewer_calls_within_at_least": 0.6, "accuracy_lost_at_most": 0.03}
PAIRS = {"otc-ppo": "ppo", "otc-grpo": "grpo"}
"""Which policy each one with a tool coefficient is compared with."""
COLUMNS = ("EM", "TC", "TP", "calls_within", "calls_beyond", "boundary_agreement")


def treatments() -> dict[str, Treatment]:
    """The four policies: the quickstart's two, and the same two rewards with a critic instead of groups."""
    from toolwise.systems.almanac_settings import ReinforcementConfig, actor_critic

    settings = actor_critic()
    return grpo_treatments(ReinforcementConfig()) | {
        "ppo": Treatment("PPO: correctness", "correct", settings),
        "otc-ppo": Treatment("OTC-PPO: correctness × tools", "otc", settings),
    }


def read_outcomes(run: Path, policy: str) -> list[Outcome]:
    """What came of the questions that a policy was evaluated on."""
    lines = (run / policy / "rollouts" / "eval.jsonl").read_text("utf-8").splitlines()
    return [
        Outcome(
            task_id=record["task_id"],
            domain=record["info"]["domain"],
            kind=record["info"]["kind"],
            level=record["info"]["level"],
            needs_tool=record["info"]["needs_tool"],
            correct=bool(record["parts"]["correct"]),
            calls=sum(len(turn["calls"]) for turn in record["turns"] if turn["role"] == "assistant"),
        )
        for record in map(json.loads, lines)
    ]


def measured(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """EM, TC and TP (arXiv 2504.14870), and the boundary, each with its 95% interval."""
    summary = summarise(outcomes)
    correct, calls = [float(o.correct) for o in outcomes], [o.calls for o in outcomes]
    figures: dict[str, Any] = dict(otc_metrics(correct, calls))
    names = ("calls_within", "calls_beyond", "boundary_agreement")
    figures |= {name: getattr(summary, name) for name in names}
    figures["intervals"] = {name: summary.intervals[name] for name in names} | {
        "EM": summary.intervals["accuracy"],
        "TC": bootstrap_ratio(calls, [1.0] * len(calls), "TC"),
        "TP": summary.intervals["tool_productivity"],
    }
    return figures


def compared(mine: Sequence[Outcome], other: Sequence[Outcome]) -> dict[str, Any]:
    """What a policy saves and loses against another one on the same questions.

    Returns:
        ``fewer_calls_within``, the share of the other's calls on questions within knowledge that are not
        made, with a paired 95% ``interval`` (None where the other makes none), and ``accuracy_lost``.
    """
    by_id = {outcome.task_id: outcome for outcome in other}
    within = [(o.calls, by_id[o.task_id].calls) for o in mine if o.needs_tool is False]
    above, below = [pair[0] for pair in within], [pair[1] for pair in within]
    ratio = sum(above) / sum(below) if sum(below) else None
    bounds = bootstrap_ratio(above, below, "fewer calls")
    lost = sum(o.correct for o in other) / len(other) - sum(o.correct for o in mine) / len(mine)
    return {
        "fewer_calls_within": None if ratio is None else 1 - ratio,
        "interval": None if bounds is None else (1 - bounds[1], 1 - bounds[0]),
        "accuracy_lost": lost,
    }


def results(runs: Mapping[int, Path], policies: Sequence[str]) -> dict[str, Any]:
    """Figures of each seed and policy, and of each pair."""
    found: dict[str, Any] = {"policies": {}, "pairs": {}}
    for seed, run in runs.items():
        outcomes = {name: read_outcomes(run, name) for name in ("sft", *policies)}
        found["policies"][seed] = {name: measured(of) for name, of in outcomes.items()}
        found["pairs"][seed] = {
            f"{one} against {other}": compared(outcomes[one], outcomes[other])
            for one, other in PAIRS.items()
            if one in outcomes and other in outcomes
        }
    return found


def train(runs: Mapping[int, Path], chosen: Mapping[str, Treatment], *, small: bool, split: str) -> None:
    """Train and evaluate what is not there yet."""
    from toolwise.rollout import CollectorConfig, Limits
    from toolwise.systems import almanac, quickstart
    from toolwise.systems.almanac_settings import ColdStartConfig
    from toolwise.worlds.almanac import KINDS, tasks

    config = QuickstartConfig()
    quickstart.heldout_questions = almanac.heldout_questions
    if split == "validation":
        quickstart.heldout_questions = lambda world: tasks(world, "validation", dict.fromkeys(KINDS, 80))
    if small:
        quickstart.heldout_questions = partial(almanac.heldout_questions, persons=4, others=2)
        config = QuickstartConfig(cold_start=ColdStartConfig(questions=8, person_questions=8, passes=1))
        limits = Limits(max_turns=2, max_turn_tokens=24)

        def shortened(treatment: Treatment) -> Treatment:
            settings = treatment.settings
            groups = 1 if settings.critic else 4
            rollout = CollectorConfig(tasks_per_step=16 // groups, group_size=groups, limits=limits)
            critic = settings.critic and settings.critic.model_copy(update={"warmup_steps": 1})
            changes = {"steps": 2, "rollout": rollout, "critic": critic}
            return Treatment(treatment.title, treatment.reward, settings.model_copy(update=changes))

        chosen = {name: shortened(treatment) for name, treatment in chosen.items()}
    for seed, run in runs.items():
        quickstart.quickstart(run, seed=seed, config=config, treatments=chosen)


def _shown(figures: Mapping[str, Any]) -> dict[str, str]:
    shown = {}
    for name in COLUMNS:
        value, bounds = figures[name], figures["intervals"][name]
        interval = "" if bounds is None else f" [{bounds[0]:.2f}, {bounds[1]:.2f}]"
        shown[name] = "" if value is None else f"{value:.3f}{interval}"
    return shown


def main() -> None:
    """Train, print the comparison, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="where the runs are kept (default: nowhere)")
    parser.add_argument("--only", nargs="+", choices=list(treatments()), default=list(treatments()))
    parser.add_argument("--split", choices=["heldout", "validation"], default="heldout")
    parser.add_argument("--small", action="store_true", help="a few steps, to see that it works")
    given = parser.parse_args()
    chosen = {name: treatment for name, treatment in treatments().items() if name in given.only}
    with tempfile.TemporaryDirectory() as scratch:
        runs = {seed: (given.out or Path(scratch)) / f"seed-{seed}" for seed in given.seeds}
        train(runs, chosen, small=given.small, split=given.split)
        figures = results(runs, list(chosen))
    rows = [
        (f"{name}, seed {seed}", _shown(of))
        for seed, policies in figures["policies"].items()
        for name, of in policies.items()
    ]
    table("policy", COLUMNS, rows)
    pairs = [
        (f"{name}, seed {seed}", {key: value for key, value in of.items() if isinstance(value, float)})
        for seed, of_seed in figures["pairs"].items()
        for name, of in of_seed.items()
    ]
    table("pair", ["fewer_calls_within", "accuracy_lost"], pairs)
    more = {"small": given.small, "split": given.split}
    finish("policies", figures | more, GOALS)


if __name__ == "__main__":
    main()
