"""``toolwise evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolwise.cli import options


def evaluate(
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    endpoint_model: options.EndpointModel = None,
    api_key_env: options.ApiKeyEnv = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    config: options.Config = None,
    corpus: options.Corpus = None,
    limit: options.Limit = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets results.json and rollouts/.")] = Path(
        "runs/evaluation"
    ),
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name in the table. Default: that of the model's folder."),
    ] = None,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Measure a model on tasks: accuracy, tool calls, overuse and underuse, with 95% intervals.

    Overuse, underuse and the like need tasks whose info says needs_tool: true or false. For a model and
    tasks of your own, toolwise probe finds that out and writes it.

    Example: toolwise evaluate --model runs/otc-grpo --tasks test.jsonl --out runs/otc-grpo
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.cli.progress import progress
    from toolwise.evaluation import results_table
    from toolwise.systems import evaluate_model

    given = options.Given(
        model, tasks, format, corpus, limit, seed, set_, endpoint, endpoint_model, api_key_env
    )
    recipe = options.model_recipe(config, given)
    name = options.policy_name(recipe, given, policy)
    console = Console()
    with progress(console, "evaluate") as report:
        found = evaluate_model(
            recipe,
            out,
            name,
            done=lambda finished, total: report(finished, total, {}),
            say=plain_lines(console),
        )
    console.print(results_table({name: found.summary}, title="Tasks"))
    rewards = "  ".join(f"{part} {value:.3f}" for part, value in found.rewards.items())
    console.print(f"mean reward: {rewards}", highlight=False)
    cut = sum(outcome.stop != "answered" for outcome in found.outcomes)
    if cut:
        console.print(f"{cut} of {len(found.outcomes)} rollouts were cut by a limit", style="yellow")
    plain_lines(console)(f"results: {found.results}\nrollouts: {found.rollouts}\nnext: toolwise report {out}")
