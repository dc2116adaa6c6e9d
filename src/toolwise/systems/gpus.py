"""How much of each of several accelerators a run takes, by arithmetic: FSDP2, and samplers beside it."""

from __future__ import annotations

from toolwise.systems.memory import Method, ModelSize, Stage, memory

CARD = 80e9
"""Bytes of an 80 GB accelerator."""
ROOM = 0.9
"""Share of them that tensors may take; allocator, kernels and communication buffers have the rest."""


def sharded_memory(
    size: ModelSize,
    method: Method,
    stage: Stage,
    gpus: int,
    *,
    embedded: bool = False,
    rank: int = 16,
    token_budget: int = 4096,
    length: int = 3072,
    gradient_checkpointing: bool = True,
    reference: bool = True,
) -> dict[str, float]:
    """Bytes that training takes on each of several accelerators that hold a model in shards (FSDP2).

    Args:
        size: Of the model.
        method: ``full`` or ``lora``; 4-bit weights cannot be sharded.
        stage: ``rl`` has a reference, and a sampler.
        gpus: Accelerators that learn, ≥ 1.
        embedded: The sampler is in the same processes: each has a whole copy of the weights, with keys and
            values. Otherwise it runs on accelerators of its own.
        rank: Of the adapter.
        token_budget: Tokens of a micro-batch on each accelerator.
        length: Longest rollout, prompt included.
        gradient_checkpointing: ``learner.gradient_checkpointing``.
        reference: Whether there is a KL penalty.

    Returns:
        ``weights``, ``adapter``, ``gradients``, ``optimizer`` and ``reference`` (shards), ``gathered`` (two
        layers and the embeddings in bfloat16, a layer's and the output layer's gradients in float32),
        ``activations``, ``sampled copy``, ``keys and values``; ``all`` is their sum.
    """
    full = method == "full"
    whole = memory(
        size,
        method,
        stage,
        rank=rank,
        token_budget=token_budget,
        length=length,
        gradient_checkpointing=gradient_checkpointing,
        reference=reference,
    )
    layer, ends = size.linear / size.layers, size.parameters - size.linear
    parts = {
        name: whole[name] / gpus for name in ("weights", "adapter", "gradients", "optimizer", "reference")
    }
    parts["gathered"] = 4.0 * layer + 2.0 * ends + (4.0 * layer + 6.0 * size.output if full else 0.0)
    parts["activations"] = whole["activations"]
    sampling = stage == "rl" and embedded
    parts["sampled copy"] = (4.0 if full else 2.0) * size.parameters if sampling else 0.0
    parts["keys and values"] = whole["keys and values"] if sampling else 0.0
    return parts | {"all": sum(parts.values())}


def learning_gpus(size: ModelSize, method: Method, stage: Stage, *, embedded: bool = False) -> int | None:
    """The smallest power of two of 80 GB accelerators that a model is learned on; None: none up to 1,024."""
    for gpus in (1 << power for power in range(11)):
        if sharded_memory(size, method, stage, gpus, embedded=embedded)["all"] <= ROOM * CARD:
            return gpus
    return None


def serving_gpus(size: ModelSize) -> int:
    """Accelerators of one server, a power of two: bfloat16 weights in two thirds of their memory."""
    gpus = 1
    while 2.0 * size.parameters > gpus * ROOM * CARD * 2 / 3:
        gpus *= 2
    return gpus
