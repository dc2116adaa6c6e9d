"""Writing a policy as a plain model folder in the Hugging Face layout, whether it has an adapter or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from toolwise.core import ToolwiseError
from toolwise.learning.adapters import has_adapter
from toolwise.systems.models import quiet


def write_model(folder: Path, model: Any, tokenizer: Any = None) -> None:
    """Write a model; an adapter is added to the weights that are written, and the model stays as it is.

    Args:
        folder: An empty folder.
        model: A causal language model.
        tokenizer: Written beside it where given.

    Raises:
        OSError: The disk refuses.
        ToolwiseError: The adapter stands on quantised weights, to which it cannot be added.
    """
    with quiet():
        if has_adapter(model):
            _write_merged(folder, model)
        else:
            model.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)


@torch.no_grad()
def _write_merged(folder: Path, model: Any) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from safetensors.torch import save_file

    if getattr(model, "is_quantized", False):
        raise ToolwiseError(
            "an adapter on quantised weights cannot be given to a server",
            where="sampler.weights",
            mend="take sampler.type=embedded, or model.lora.base=bfloat16",
        )
    added = {
        f"{name}.base_layer.weight": module.get_delta_weight("default")
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    }
    state: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, parameter in (*model.named_parameters(), *_saved_buffers(model)):
        if ".lora_" in name or id(parameter) in seen:
            continue
        seen.add(id(parameter))
        value = parameter.detach()
        if name in added:
            value = (value.float() + added[name].float()).to(value.dtype)
        state[name.replace(".base_layer.", ".")] = value.cpu().contiguous()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(folder)


def _saved_buffers(model: Any) -> list[tuple[str, torch.Tensor]]:
    kept = model.state_dict().keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name in kept]
