"""``toolwise data toolrl``: training data from public function-calling files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

_COUNT = "Steps to take of it."


def toolrl(
    toolace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ToolACE's conversations: .json, .jsonl, .parquet.")
    ] = None,
    xlam: Annotated[Path | None, typer.Option(metavar="FILE", help="xLAM's records.")] = None,
    hammer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Records of xLAM's shape; their names become random texts."),
    ] = None,
    toolace_steps: Annotated[int, typer.Option(min=1, help=_COUNT)] = 2000,
    xlam_steps: Annotated[int, typer.Option(min=1, help=_COUNT)] = 1000,
    hammer_steps: Annotated[int, typer.Option(min=1, help=_COUNT)] = 1000,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files are written.")] = Path("rlla"),
    seed: Annotated[int, typer.Option(min=0, help="Of the choice, the order and the random names.")] = 0,
    bad_rows: Annotated[
        Literal["refuse", "skip"], typer.Option(help="What to do with rows that cannot be used.")
    ] = "refuse",
) -> None:
    """Cut public conversations into ToolRL's single steps, and mix them as its authors did.

    Writes train.jsonl and heldout.jsonl (tasks, 2% held out), and demonstrations.jsonl: the training tasks
    with their reference turns, to imitate.

    Example: toolwise data toolrl --toolace toolace.json --xlam xlam.json --out rlla
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.data import as_demonstration, toolrl_mix, write_demonstrations, write_tasks

    given = {"toolace": toolace, "xlam": xlam, "hammer": hammer}
    mix = toolrl_mix(
        {source: path for source, path in given.items() if path is not None},  # type: ignore[misc]
        {"toolace": toolace_steps, "xlam": xlam_steps, "hammer": hammer_steps},
        seed=seed,
        bad_rows=bad_rows,
    )
    say = plain_lines(Console())
    for line in mix.refused:
        say(f"left out: {line}")
    write_tasks(out / "train.jsonl", mix.training)
    write_tasks(out / "heldout.jsonl", mix.held_out)
    write_demonstrations(out / "demonstrations.jsonl", [as_demonstration(task) for task in mix.training])
    sources = [str(task.info["source"]) for task in (*mix.training, *mix.held_out)]
    taken = ", ".join(f"{sources.count(source)} of {source}" for source in dict.fromkeys(sources))
    say(f"{out}: {len(mix.training)} steps to train on, {len(mix.held_out)} held out ({taken})")
    say(f"next: toolwise train rl toolrl --format own --tasks {out / 'train.jsonl'} --model MODEL")
