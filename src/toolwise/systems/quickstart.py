"""The quickstart: from nothing to an agent that calls a tool only when it must, on a laptop."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from toolwise.evaluation import Summary, results_table, summarise
from toolwise.learning import RunFolder
from toolwise.reports import write_report
from toolwise.systems.almanac import (
    cold_start,
    evaluate,
    heldout_questions,
    load_agent,
    pretrain,
    reinforce,
    write_evaluation,
)
from toolwise.systems.almanac_settings import ColdStartConfig, PretrainingConfig, ReinforcementConfig
from toolwise.systems.models import quiet
from toolwise.worlds import almanac as almanac_files
from toolwise.worlds.almanac import Almanac, build_world, pretraining_documents

BUILT = "built.json"
"""Beside a base model: what it was built with."""
PRETRAIN, SFT = "base: reads the almanac", "SFT: cold start"


@dataclass(frozen=True)
class Treatment:
    """One way of reinforcing the policy of the cold start.

    Attributes:
        title: Stands beside its progress.
        reward: Correctness alone, or times the tool coefficient.
        settings: How it is trained.
    """

    title: str
    reward: Literal["correct", "otc"]
    settings: ReinforcementConfig


class QuickstartConfig(BaseModel):
    """All settings of the quickstart.

    Attributes:
        world: Seed of the world.
        pretraining: The base model.
        cold_start: SFT.
        reinforcement: Both policies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    world: int = 0
    pretraining: PretrainingConfig = PretrainingConfig()
    cold_start: ColdStartConfig = ColdStartConfig()
    reinforcement: ReinforcementConfig = ReinforcementConfig()


def grpo_treatments(settings: ReinforcementConfig) -> dict[str, Treatment]:
    """What the quickstart compares: nothing but the coefficient differs."""
    return {
        "grpo": Treatment("GRPO: correctness", "correct", settings),
        "otc-grpo": Treatment("OTC-GRPO: correctness × tools", "otc", settings),
    }


def quickstart(
    out: Path,
    *,
    seed: int = 0,
    console: Console | None = None,
    config: QuickstartConfig | None = None,
    treatments: Mapping[str, Treatment] | None = None,
) -> dict[str, Summary]:
    """Run every stage, evaluate each policy on held-out questions, and write the page.

    The base model comes with the package; with other settings it is pretrained once and kept in the cache. A
    run that was stopped goes on where it was.

    Args:
        out: The run folder.
        seed: Of demonstrations, rollouts and their order; the base model is the same for every seed.
        console: Where progress goes.
        config: Other settings.
        treatments: Other policies than the quickstart's two, by name.

    Returns:
        The measures of each policy.
    """
    console = console or Console()
    config = config or QuickstartConfig()
    out.mkdir(parents=True, exist_ok=True)
    chosen = grpo_treatments(config.reinforcement) if treatments is None else treatments
    RunFolder(out).write_config(config.model_dump(mode="json") | {"seed": seed})
    world = build_world(config.world)
    started = time.monotonic()
    with quiet(), _progress(console) as progress:
        base = base_model(world, config.pretraining, progress)
        stages = ["sft", *chosen]
        _write_json(out / "stages.json", stages)
        folder = RunFolder(out / "sft", keep=1)
        start = cold_start(
            load_agent(world, base),
            config.cold_start,
            folder,
            seed=seed,
            progress=_bar(progress, SFT),
        )
        policies = {"sft": start}
        for name, treatment in chosen.items():
            folder = RunFolder(out / name, keep=1)
            folder.write_config(treatment.settings.model_dump(mode="json"))
            policies[name] = reinforce(
                load_agent(world, start),
                treatment.reward,
                treatment.settings,
                folder,
                seed=seed,
                progress=_bar(progress, treatment.title),
            )
        summaries = {
            name: _evaluate(world, name, path, out, seed, progress) for name, path in policies.items()
        }
    records = [summary.to_record(name, seed) for name, summary in summaries.items()]
    _write_json(out / "results.json", records)
    page = write_report(out)
    console.print(results_table(summaries))
    console.print(f"{time.monotonic() - started:.0f} s · results: {out / 'results.json'} · page: {page}")
    return summaries


def build_base_folder(out: Path, *, console: Console | None = None) -> None:
    """Build the almanac's base model anew, into a folder that `transformers` loads."""
    with quiet(), _progress(console or Console()) as progress:
        config = QuickstartConfig()
        _pretrain(build_world(config.world), config.pretraining, out, progress)


def base_model(world: Almanac, config: PretrainingConfig, progress: Progress) -> Path:
    """The base model that comes with the package, if built with these settings; else cached or built now."""
    shipped = Path(almanac_files.__file__).parent / "base"
    for folder in (shipped, cache_folder() / f"almanac-{_key(world, config)[:12]}"):
        built = folder / BUILT
        if built.is_file() and json.loads(built.read_text(encoding="utf-8"))["key"] == _key(world, config):
            progress.console.print(f"base model: {'shipped' if folder == shipped else folder}")
            return folder
    _pretrain(world, config, folder, progress)
    return folder


def _key(world: Almanac, config: PretrainingConfig) -> str:
    """What a base model depends on: the settings, and the first pass of the text."""
    text = "\n".join(pretraining_documents(world, 0))
    return hashlib.sha256(f"{config.model_dump_json()}\n{text}".encode()).hexdigest()


def cache_folder() -> Path:
    """Where built models are kept: ``TOOLWISE_CACHE``, else the user's cache folder."""
    given = os.environ.get("TOOLWISE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "toolwise"


def _pretrain(world: Almanac, config: PretrainingConfig, folder: Path, progress: Progress) -> None:
    work = folder.with_name(f"{folder.name}.work")
    checkpoint = pretrain(
        world, config, RunFolder(work, keep=1), seed=world.seed, progress=_bar(progress, PRETRAIN)
    )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial, ignore=shutil.ignore_patterns("trainer_state*"))
    _write_json(partial / BUILT, {"key": _key(world, config), "pretraining": config.model_dump()})
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    shutil.rmtree(work)


def _evaluate(
    world: Almanac, name: str, checkpoint: Path, out: Path, seed: int, progress: Progress
) -> Summary:
    questions = heldout_questions(world)
    agent = load_agent(world, checkpoint)
    task = progress.add_task(f"held-out questions: {name}", total=len(questions), note="")
    outcomes, trees = evaluate(agent, questions, seed=seed, done=lambda _: progress.advance(task))
    write_evaluation(out / name / "rollouts" / "eval.jsonl", name, trees, outcomes, agent.tokenizer)
    return summarise(outcomes)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<32}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def _bar(progress: Progress, title: str) -> Any:
    task = progress.add_task(title, total=None, note="")

    def show(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        names = (
            {"accuracy": "right", "calls_per_rollout": "calls"} if "accuracy" in metrics else {"loss": "loss"}
        )
        note = " ".join(f"{title} {metrics[name]:.2f}" for name, title in names.items())
        progress.update(task, total=steps, completed=step, note=note)

    return show


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
