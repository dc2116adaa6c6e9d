"""The commands and what they do; each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from toolwise.cli import evaluating, looking, quickstart, running, training, worlds
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
train = typer.Typer(no_args_is_help=True, help="Train a model: sft or rl.")
show = typer.Typer(no_args_is_help=True, help="Look at what is otherwise hidden.")
world = typer.Typer(no_args_is_help=True, help="The embedded world.")

app.command("quickstart")(quickstart.quickstart)
app.add_typer(train, name="train")
app.command("evaluate")(evaluating.evaluate)
app.command("rollout")(running.rollout)
app.add_typer(show, name="show")
app.command("report")(looking.report)
app.command("doctor")(looking.doctor)
app.command("systems")(looking.systems)
app.add_typer(world, name="world")
train.command("sft")(training.train_sft)
train.command("rl")(training.train_rl)
show.command("mask")(running.show_mask)
world.command("build")(worlds.build)


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
