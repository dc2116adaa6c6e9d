"""``toolwise merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def merge(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or the folder of an adapter.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new model folder.")],
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="Of the weights in it.")
    ] = "float32",
) -> None:
    """Add a trained adapter (LoRA) to its model's weights, and write the whole model.

    Example: toolwise merge runs/sft --out models/sft
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.systems.merging import merge_adapter

    plain_lines(Console())(f"model: {merge_adapter(run, out, precision)}")
