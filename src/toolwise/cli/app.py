"""The commands and what they do; each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from toolwise.cli import (
    benchmarking,
    data,
    data_minprompt,
    data_toolrl,
    deciding,
    evaluating,
    looking,
    merging,
    probing,
    quickstart,
    remembering,
    running,
    serving,
    training,
    worlds,
)
from toolwise.cli.guard import GuardedGroup

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing what makes boxes takes longer than the help itself
    help="Post-train language-model agents that think when they know and act when they don't.\n\n"
    "Begin with: toolwise quickstart",
)
train = typer.Typer(no_args_is_help=True, help="Train a model: sft imitates, rl learns from rewards.")
show = typer.Typer(no_args_is_help=True, help="Show what would be trained on.")
datasets = typer.Typer(no_args_is_help=True, help="Make training data.")
world = typer.Typer(no_args_is_help=True, help="The almanac, the small synthetic world of the quickstart.")

app.command("quickstart", short_help="Train and compare two policies, in minutes.")(quickstart.quickstart)
app.add_typer(train, name="train")
app.command("evaluate", short_help="Measure a model on tasks.")(evaluating.evaluate)
app.command("probe", short_help="Find out what a model knows without tools.")(probing.probe)
app.command("benchmark", short_help="Measure a model on a public benchmark.")(benchmarking.benchmark)
app.command("rollout", short_help="Try a model on tasks and read its turns.")(running.rollout)
app.command("memory", short_help="How much memory training takes.")(remembering.memory)
app.command("merge", short_help="Add a trained adapter to its model's weights.")(merging.merge)
app.add_typer(show, name="show")
app.command("report", short_help="Write the page of a run.")(looking.report)
app.command("doctor", short_help="Say why a run does not learn.")(looking.doctor)
app.command("systems", short_help="List the published systems: what runs here.")(looking.systems)
app.add_typer(datasets, name="data")
app.command("serve", short_help="Serve a corpus to the tool http_search.")(serving.serve)
app.add_typer(world, name="world")
train.command("sft", short_help="Imitate demonstrations.")(training.train_sft)
train.command("rl", short_help="Learn from rewarded rollouts.")(training.train_rl)
show.command("decisions", short_help="How sure a policy was of calling a tool or not.")(
    deciding.show_decisions
)
show.command("mask", short_help="Token by token, what would be trained on.")(running.show_mask)
datasets.command("smart-er", short_help="SMART's chains: where knowledge ends and a tool begins.")(
    data.smart_er
)
datasets.command("toolrl", short_help="Mix ToolACE, xLAM and Hammer records into ToolRL's tasks.")(
    data_toolrl.toolrl
)
datasets.add_typer(
    data_minprompt.app, name="minprompt", short_help="Few sentences that cover a text's facts."
)
world.command("build", short_help="Write its questions and its corpus as files.")(worlds.build)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"toolwise {version('toolwise')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
