"""``toolwise memory``."""

from __future__ import annotations

from typing import Annotated

import typer


def memory(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, or qwen2.5-1.5b, -3b, -7b.")],
    rank: Annotated[int, typer.Option(min=1, help="Of the adapter.")] = 16,
    token_budget: Annotated[int, typer.Option(min=1, help="learner.token_budget.")] = 4096,
    length: Annotated[int, typer.Option(min=1, help="Longest rollout in tokens, prompt included.")] = 3072,
    checkpointing: Annotated[bool, typer.Option(help="learner.gradient_checkpointing.")] = True,
    reference: Annotated[bool, typer.Option(help="Whether there is a KL penalty.")] = True,
) -> None:
    """How much memory training takes on an accelerator, in GiB: all weights, LoRA or QLoRA; SFT or RL.

    Example: toolwise memory qwen2.5-7b --no-checkpointing
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from toolwise.systems import memory as counting

    size = counting.model_size(model)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{size.parameters / 1e9:.2f} B parameters, GiB")
    table.add_column("")
    columns = []
    for method in ("full", "lora", "qlora"):
        for stage in ("sft", "rl"):
            table.add_column(f"{method} {stage}", justify="right")
            parts = counting.memory(
                size,
                method,
                stage,
                rank=rank,
                token_budget=token_budget,
                length=length,
                gradient_checkpointing=checkpointing,
                reference=reference,
            )
            columns.append(parts)
    for part in columns[0]:
        table.add_row(part, *(f"{column[part] / counting.GIB:.1f}" for column in columns))
    Console().print(table)
