"""``toolwise world build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def build(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files are written.")] = Path("almanac"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the world.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="Most questions of each kind in each split.")] = 100,
    base: Annotated[
        bool, typer.Option("--base", help="Also pretrain the tiny base model anew, into DIR/base.")
    ] = False,
) -> None:
    """Write the almanac's questions and its encyclopaedia as files, to train and to look at.

    With --base, also pretrain the tiny base model from scratch (some minutes): the one that comes with the
    package was built by this command.

    Example: toolwise world build --out almanac --base
    """
    from rich.console import Console

    from toolwise.systems.world_files import write_world

    for path, rows in write_world(out, seed=seed, count=count):
        Console().print(f"{path}: {rows} rows", highlight=False, markup=False)
    if base:
        from toolwise.systems.quickstart import build_base_folder

        build_base_folder(out / "base")
        Console().print(f"{out / 'base'}: a model folder", highlight=False, markup=False)
