"""``toolwise train sft``, ``toolwise train dpo`` and ``toolwise train rl``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from toolwise.cli import options
from toolwise.cli.guard import MISTAKE
from toolwise.core import ToolwiseError

if TYPE_CHECKING:
    from toolwise.systems.recipe import Recipe as AnyRecipe


def train_sft(
    recipe: options.Recipe = "sft",
    model: options.Model = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    corpus: options.Corpus = None,
    limit: options.Limit = None,
    out: options.Out = None,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Imitate demonstrations. Run the same command again to go on after a stop, or with more steps.

    Example: toolwise train sft sft --model Qwen/Qwen3-0.6B --tasks demos.jsonl --out runs/cold
    """
    from toolwise.systems import SFTRecipe, packaged_recipes
    from toolwise.systems import train_sft as run

    given = options.Given(model, tasks, format, corpus, limit, seed, set_)
    chosen = options.training_recipe(recipe, given, "sft")
    assert isinstance(chosen, SFTRecipe)
    following = chosen.system.removesuffix("-sft")
    then = following if following in packaged_recipes() and following != "sft" else "grpo"
    _train("sft", run, chosen, out, f"toolwise train rl {then} --model {{}} --tasks FILE")


def train_dpo(
    recipe: options.Recipe = "dpo",
    model: options.Model = None,
    tasks: options.Tasks = None,
    limit: options.Limit = None,
    out: options.Out = None,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Prefer one answer to another. Run the same command again to go on after a stop, or with more steps.

    Each row has prompt, chosen and rejected, as messages or as texts; the reference is the model given.

    Example: toolwise train dpo dpo --model runs/cold --tasks pairs.jsonl --out runs/preferred
    """
    from toolwise.systems import DPORecipe
    from toolwise.systems import train_dpo as run

    given = options.Given(model, tasks, None, None, limit, seed, set_)
    chosen = options.training_recipe(recipe, given, "dpo")
    assert isinstance(chosen, DPORecipe)
    _train("dpo", run, chosen, out, "toolwise evaluate --model {} --tasks FILE")


def train_rl(
    recipe: options.Recipe = "grpo",
    model: options.Model = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    corpus: options.Corpus = None,
    limit: options.Limit = None,
    out: options.Out = None,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Learn from rewarded rollouts. Run the same command again to go on after a stop, or with more steps.

    Example: toolwise train rl otc-grpo --model runs/cold --tasks train.jsonl --set learner.learning_rate=1e-5
    """
    from toolwise.systems import RLRecipe
    from toolwise.systems import train_rl as run

    given = options.Given(model, tasks, format, corpus, limit, seed, set_)
    chosen = options.training_recipe(recipe, given, "rl")
    assert isinstance(chosen, RLRecipe)
    _train("rl", run, chosen, out, "toolwise evaluate --model {} --tasks FILE")


def _train(
    what: str,
    run: Callable[..., Mapping[str, float]],
    recipe: AnyRecipe,
    out: Path | None,
    then: str,
) -> None:
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.cli.progress import progress
    from toolwise.learning import EverywhereError, launched
    from toolwise.reports import write_report

    folder = out or Path("runs") / recipe.system
    # Of several processes the first one speaks; the others do when something happens to them alone.
    first = launched().first
    console = Console(quiet=not first)
    say = plain_lines(console)

    try:
        with progress(console, what) as report:
            metrics = run(recipe, folder, progress=report, say=say)
    except EverywhereError as error:
        if first:
            raise
        raise typer.Exit(MISTAKE) from error
    if not first:
        return
    if not metrics:
        say(f"nothing left to do: the run in {folder} is finished")
    try:
        say(f"report: {write_report(folder)}")
    except ToolwiseError as error:
        # The training is done and safe; a page that cannot be written must not hide that.
        say(f"no report: {error}")
    say(f"checkpoints: {folder / 'checkpoints'}")
    say(f"next: {then.format(folder)}")
