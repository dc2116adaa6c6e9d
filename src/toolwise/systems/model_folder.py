"""Writing a policy as a plain model folder in the Hugging Face layout, whether it has an adapter or not."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from toolwise.core import ToolwiseError
from toolwise.learning.adapters import has_adapter
from toolwise.systems.models import quiet


def write_model(folder: Path, model: Any, tokenizer: Any = None, *, untied: bool = False) -> None:
    """Write a model; an adapter is added to the weights that are written, and the model stays as it is.

    Args:
        folder: An empty folder.
        model: A causal language model.
        tokenizer: Written beside it where given.
        untied: Write the output layer even where it shares its weights with the embeddings, as a model that
            does not share them.

    Raises:
        OSError: The disk refuses.
        ToolwiseError: The adapter stands on quantised weights, to which it cannot be added.
    """
    with quiet():
        if has_adapter(model) or (untied and model.config.get_text_config().tie_word_embeddings):
            _write_plain(folder, model, untied)
        else:
            model.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder that is there whole or not at all; one of this name is replaced.

    Args:
        folder: The folder.
        write: Writes into an empty one.

    Raises:
        OSError: The disk refuses.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


@torch.no_grad()
def _write_plain(folder: Path, model: Any, untied: bool) -> None:
    from safetensors.torch import save_file

    added = _adapter_weights(model) if has_adapter(model) else {}
    state: dict[str, torch.Tensor] = {}
    # A parameter that is shared comes once.
    for name, parameter in (*model.named_parameters(), *_saved_buffers(model)):
        if ".lora_" in name:
            continue
        value = parameter.detach()
        if name in added:
            value = (value.float() + added[name].float()).to(value.dtype)
        state[name.replace(".base_layer.", ".")] = value.cpu().contiguous()
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    if untied:
        output = model.get_output_embeddings()
        (name,) = (name for name, module in model.named_modules() if module is output)
        state[f"{name}.weight"] = output.weight.detach().cpu().clone()
        config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = False
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)


def _adapter_weights(model: Any) -> dict[str, torch.Tensor]:
    """What the adapter adds to each weight."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if getattr(model, "is_quantized", False):
        raise ToolwiseError(
            "an adapter on quantised weights cannot be given to a server",
            where="sampler.weights",
            mend="take sampler.type=embedded, or model.lora.base=bfloat16",
        )
    return {
        f"{name}.base_layer.weight": module.get_delta_weight("default")
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    }


def _saved_buffers(model: Any) -> list[tuple[str, torch.Tensor]]:
    kept = model.state_dict().keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name in kept]
