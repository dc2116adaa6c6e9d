"""``toolwise memory``."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def memory(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model folder, or qwen2.5-1.5b, -3b, -7b, -32b, -72b.")
    ],
    rank: Annotated[int, typer.Option(min=1, help="Of the adapter.")] = 16,
    token_budget: Annotated[int, typer.Option(min=1, help="learner.token_budget.")] = 4096,
    length: Annotated[int, typer.Option(min=1, help="Longest rollout in tokens, prompt included.")] = 3072,
    checkpointing: Annotated[bool, typer.Option(help="learner.gradient_checkpointing.")] = True,
    reference: Annotated[bool, typer.Option(help="Whether there is a KL penalty.")] = True,
    gpus: Annotated[int, typer.Option(min=1, help="Accelerators that share the model (FSDP2): of each.")] = 1,
) -> None:
    """How much memory training takes on an accelerator, in GiB: all weights, LoRA or QLoRA; SFT or RL.

    Example: toolwise memory qwen2.5-7b --no-checkpointing
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from toolwise.systems import memory as counting
    from toolwise.systems.gpus import sharded_memory

    size = counting.model_size(model)
    settings: dict[str, Any] = {
        "rank": rank,
        "token_budget": token_budget,
        "length": length,
        "gradient_checkpointing": checkpointing,
        "reference": reference,
    }
    unit = "GiB" if gpus == 1 else f"GiB on each of {gpus} accelerators"
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=f"{size.parameters / 1e9:.2f} B parameters, {unit}"
    )
    table.add_column("")
    columns = []
    # Weights of 4 bits are not sharded.
    for method in ("full", "lora", "qlora") if gpus == 1 else ("full", "lora"):
        for stage in ("sft", "rl"):
            table.add_column(f"{method} {stage}", justify="right")
            if gpus == 1:
                columns.append(counting.memory(size, method, stage, **settings))
                continue
            columns.append(sharded_memory(size, method, stage, gpus, **settings))
            if stage == "rl":
                table.add_column(f"{method} rl, embedded sampler", justify="right")
                columns.append(sharded_memory(size, method, stage, gpus, embedded=True, **settings))
    for part in columns[0]:
        table.add_row(part, *(f"{column[part] / counting.GIB:.1f}" for column in columns))
    Console().print(table)
