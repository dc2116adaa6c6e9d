"""``toolwise probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from toolwise.cli import options


def probe(
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    endpoint_model: options.EndpointModel = None,
    api_key_env: options.ApiKeyEnv = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    config: options.Config = None,
    limit: options.Limit = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The tasks with what was found, .jsonl; grows as it goes.")
    ] = Path("runs/probe.jsonl"),
    samples: Annotated[int, typer.Option(min=1, help="How often each question is asked.")] = 8,
    temperature: Annotated[float, typer.Option(min=0, help="Of sampling.")] = 0.7,
    known_from: Annotated[
        float, typer.Option(help="Known: at least this share of the samples is right.")
    ] = 0.75,
    unknown_up_to: Annotated[
        float, typer.Option(help="Unknown: at most this share is right. In between: uncertain.")
    ] = 0.25,
    judge: Annotated[
        Literal["exact_match", "f1", "numeric"] | None,
        typer.Option(help="What tells that an answer is right. Default: the reward of --config."),
    ] = None,
    correct_from: Annotated[
        float | None,
        typer.Option(help="Correctness from which a sample is right. Default: 1, and 0.5 for f1."),
    ] = None,
    short: Annotated[
        bool,
        typer.Option(
            "--short",
            help="Ask for a last line 'Answer: …' and judge only that: for models that write sentences.",
        ),
    ] = False,
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the model. Default: that of its folder.")
    ] = None,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Find the boundary of a model's knowledge: what it answers rightly without any tool.

    Each question is asked several times with no tool on offer. The tasks are written with info.needs_tool
    (false: known, true: unknown, absent: uncertain) and info.known_share, so that toolwise evaluate, with
    tools, tells overuse, underuse and boundary agreement of a real model. Run it again to go on after a stop.

    Example: toolwise probe --model Qwen/Qwen3-0.6B --tasks questions.jsonl --short --out known.jsonl
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.cli.progress import progress
    from toolwise.evaluation import Thresholds, knowledge_table
    from toolwise.systems.probing import ProbeSettings, probe_model

    given = options.Given(
        model, tasks, format, None, limit, seed, set_, endpoint, endpoint_model, api_key_env
    )
    recipe = options.model_recipe(config, given)
    name = options.policy_name(recipe, given, policy)
    thresholds = Thresholds(known_from, unknown_up_to)
    settings = ProbeSettings(samples, temperature, thresholds, judge, correct_from, short)
    console = Console()
    say = plain_lines(console)
    with progress(console, "probe") as report:
        found = probe_model(
            recipe,
            settings,
            out,
            name,
            done=lambda finished, total: report(finished, total, {}),
            say=say,
        )
    console.print(knowledge_table(name, list(found.knowledge.values()), thresholds))
    asked = samples * len(found.knowledge)
    if found.cut:
        say(f"{found.cut} of {asked} samples were cut by a limit and count as wrong")
    if found.calls:
        say(f"{found.calls} of {asked} samples wrote a call with no tool on offer and count as wrong")
    source = f"--endpoint {endpoint} --endpoint-model {endpoint_model}" if endpoint else f"--model {model}"
    say(f"tasks: {found.path}\nnext: toolwise evaluate {source} --tasks {found.path}")
