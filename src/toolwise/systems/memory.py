"""How much memory a run takes, by arithmetic: weights, gradients, optimizer, activations, keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolwise.core import ToolwiseError

Method = Literal["full", "lora", "qlora"]
Stage = Literal["sft", "rl"]
GIB = 2**30
NF4 = (4 + 0.127) / 8
"""Bytes of a 4-bit weight with its doubly quantised scales (QLoRA, arXiv 2305.14314, §3)."""
PARKED = 1 << 18
ROWS = 128
"""The embedded sampler's defaults: tokens whose keys and values are kept between turns; rows of a batch."""

QWEN25: Mapping[str, Mapping[str, Any]] = {
    "qwen2.5-1.5b": {"hidden": 1536, "layers": 28, "heads": 12, "keys": 2, "inner": 8960, "tied": True},
    "qwen2.5-3b": {"hidden": 2048, "layers": 36, "heads": 16, "keys": 2, "inner": 11008, "tied": True},
    "qwen2.5-7b": {"hidden": 3584, "layers": 28, "heads": 28, "keys": 4, "inner": 18944, "tied": False},
    "qwen2.5-32b": {"hidden": 5120, "layers": 64, "heads": 40, "keys": 8, "inner": 27648, "tied": False},
    "qwen2.5-72b": {"hidden": 8192, "layers": 80, "heads": 64, "keys": 8, "inner": 29568, "tied": False},
}
"""Shapes of the Qwen2.5 models, as their configurations state them."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What of a model's shape decides its memory; numbers, not bytes.

    Attributes:
        parameters: All.
        linear: Weights of the linear layers, but for the output layer: what adapters and 4 bits apply to.
        output: Weights of the output layer, its own or the embeddings'.
        adapter_width: Sum of inputs and outputs of these linear layers; times the rank: an adapter's weights.
        hidden: Width.
        intermediate: Width within the feed-forward layers.
        layers: Number of layers.
        keys_and_values: Numbers that a token leaves in the cache.
    """

    parameters: int
    linear: int
    output: int
    adapter_width: int
    hidden: int
    intermediate: int
    layers: int
    keys_and_values: int


def model_size(source: str) -> ModelSize:
    """The size of a model: a name from `QWEN25`, or a folder with a Hugging Face configuration.

    Raises:
        ToolwiseError: It is neither, or transformers does not know the architecture.
    """
    import torch
    from torch import nn
    from transformers import AutoConfig, AutoModelForCausalLM

    from toolwise.systems.models import quiet

    config = _published(source)
    if config is None:
        if not (Path(source) / "config.json").is_file():
            raise ToolwiseError(
                "is neither a known model nor a folder with a config.json",
                where=f"model '{source}'",
                mend=f"give a model folder, or one of: {', '.join(QWEN25)}",
            )
        with quiet():
            try:
                config = AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=True)
            except (OSError, ValueError, KeyError) as error:
                raise ToolwiseError(
                    f"config.json cannot be read: {error}", where=source, mend="get it again"
                ) from error
    with torch.device("meta"), quiet():
        model: Any = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    output = model.get_output_embeddings()
    linear = [part for part in model.modules() if isinstance(part, nn.Linear) and part is not output]
    text = config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return ModelSize(
        parameters=sum(value.numel() for value in model.parameters()),
        linear=sum(part.weight.numel() for part in linear),
        output=output.weight.numel(),
        adapter_width=sum(part.in_features + part.out_features for part in linear),
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        layers=text.num_hidden_layers,
        keys_and_values=2 * text.num_hidden_layers * text.num_key_value_heads * head,
    )


def memory(
    size: ModelSize,
    method: Method,
    stage: Stage,
    *,
    rank: int = 16,
    token_budget: int = 4096,
    length: int = 3072,
    gradient_checkpointing: bool = True,
    reference: bool = True,
) -> dict[str, float]:
    """Bytes that training takes on an accelerator in bfloat16, by part.

    Weights that are trained are float32 and are multiplied as bfloat16 copies; frozen ones are bfloat16, with
    ``qlora`` 4 bits in the linear layers. Activations are an estimate: 42·hidden + 8·intermediate bytes a
    token and layer, of which gradient checkpointing keeps 4·hidden and one layer whole.

    Args:
        size: Of the model.
        method: All weights, or an adapter beside frozen ones.
        stage: ``rl`` has a sampler on the same weights, and a reference.
        rank: Of the adapter.
        token_budget: Tokens of a micro-batch (``learner.token_budget``).
        length: Longest rollout, prompt included.
        gradient_checkpointing: ``learner.gradient_checkpointing``.
        reference: Whether there is a KL penalty, which needs one.

    Returns:
        ``weights``, ``adapter``, ``gradients``, ``optimizer``, ``copies`` (bfloat16, and the output layer's
        gradient), ``reference``, ``activations``, ``keys and values``; ``all`` is their sum.
    """
    adapter = 0 if method == "full" else rank * size.adapter_width
    trained = size.parameters if method == "full" else adapter
    frozen = size.parameters * 2.0
    if method == "qlora":
        frozen = (size.parameters - size.linear) * 2.0 + size.linear * NF4
    layer = 42.0 * size.hidden + 8.0 * size.intermediate
    kept = size.layers * layer
    if gradient_checkpointing:
        kept = size.layers * 4.0 * size.hidden + layer
    sampling = stage == "rl"
    cached = size.keys_and_values * (4.0 if method == "full" else 2.0) * (ROWS * length + PARKED)
    parts = {
        "weights": 4.0 * size.parameters if method == "full" else frozen,
        "adapter": 4.0 * adapter,
        "gradients": 4.0 * trained,
        "optimizer": 8.0 * trained,
        "copies": 2.0 * size.linear + 6.0 * size.output if method == "full" else 2.0 * adapter,
        "reference": 4.0 * size.parameters if sampling and reference and method == "full" else 0.0,
        "activations": token_budget * kept,
        "keys and values": cached if sampling else 0.0,
    }
    return parts | {"all": sum(parts.values())}


def _published(source: str) -> Any:
    from transformers import Qwen2Config

    if source.lower() not in QWEN25:
        return None
    shape = QWEN25[source.lower()]
    return Qwen2Config(
        vocab_size=151936 if shape["tied"] else 152064,
        hidden_size=shape["hidden"],
        intermediate_size=shape["inner"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["keys"],
        tie_word_embeddings=shape["tied"],
    )
