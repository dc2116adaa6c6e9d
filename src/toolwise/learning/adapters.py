"""LoRA and QLoRA (arXiv 2106.09685, 2305.14314) through PEFT: only small adapters are trained.

An adapter is put into the model itself, so that whatever takes the model takes it with its adapter; switched
off, what is left is the base, which serves as the reference policy without a second copy of the weights.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from toolwise.core import ToolwiseError, seed_for
from toolwise.learning.sharding import put

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_PREFIX = "base_model.model."
"""What PEFT's files have in front of the names of a model's weights."""

Precision = Literal["float32", "bfloat16", "nf4"]
"""Of frozen weights; ``nf4``: 4 bits each, as in QLoRA."""


class LoraSettings(BaseModel):
    """A low-rank adapter beside frozen weights.

    Attributes:
        rank: r, ≥ 1: a weight W of shape (m, n) gets A (r, n) and B (m, r), and acts as W + alpha/r · B·A.
        alpha: > 0.
        dropout: Of what goes into A, in [0, 1).
        targets: Names of the linear layers that get one, such as ``[q_proj, v_proj]``; None: all but the
            output layer.
        base: Precision of the frozen weights. ``auto`` is bfloat16 on accelerators that have it, else
            float32; ``nf4`` (QLoRA) needs CUDA and bitsandbytes. The adapter is float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] | None = Field(default=None, min_length=1)
    base: Literal["auto", "float32", "bfloat16", "nf4"] = "auto"

    def precision(self) -> Precision:
        """What `base` means on this machine.

        Raises:
            ToolwiseError: ``nf4`` without CUDA or without bitsandbytes, or no PEFT.
        """
        require_peft()
        cuda = torch.cuda.is_available()
        if self.base == "auto":
            return "bfloat16" if cuda and torch.cuda.is_bf16_supported() else "float32"
        if self.base == "nf4" and not cuda:
            raise ToolwiseError(
                "4-bit weights (QLoRA) need a CUDA device, and there is none",
                where="model.lora.base",
                mend="set it to float32 or bfloat16: plain LoRA runs everywhere",
            )
        if self.base == "nf4" and find_spec("bitsandbytes") is None:
            raise ToolwiseError(
                "4-bit weights (QLoRA) need bitsandbytes",
                where="model.lora.base",
                mend="install it: pip install 'toolwise[qlora]'",
            )
        return self.base


def require_peft() -> None:
    """Raise where PEFT is not installed.

    Raises:
        ToolwiseError: Names the extra.
    """
    if find_spec("peft") is None:
        raise ToolwiseError("adapters need PEFT", mend="install it: pip install 'toolwise[lora]'")


def add_adapter(model: Any, settings: LoraSettings, *, base: str, seed: int) -> None:
    """Freeze a model and put a fresh adapter into it, which at first changes nothing (B is 0).

    Args:
        model: A Hugging Face causal language model without an adapter.
        settings: Size and place of the adapter.
        base: Folder or hub id of the model's weights; checkpoints of the adapter name it.
        seed: Decides the weights of A.

    Raises:
        ToolwiseError: PEFT is missing, a target is no linear layer of the model, or is its output layer.
    """
    require_peft()
    from peft import LoraConfig
    from peft.tuners.tuners_utils import BaseTunerLayer

    targets = "all-linear" if settings.targets is None else list(settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    where = "model.lora.targets"
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed_for(seed, "adapter"))
        try:
            model.add_adapter(config)
        except (ValueError, TypeError) as error:
            known = sorted(
                {
                    name.rpartition(".")[2]
                    for name, part in model.named_modules()
                    if isinstance(part, nn.Linear)
                }
            )
            raise ToolwiseError(
                f"the adapter cannot be made: {' '.join(str(error).split())[:200]}",
                where=where,
                mend=f"the model's linear layers are: {', '.join(known)}",
            ) from error
    ends = (model.get_output_embeddings(), model.get_input_embeddings())
    if any(isinstance(end, BaseTunerLayer) for end in ends):
        raise ToolwiseError(
            "embeddings and the output layer take no adapter here", where=where, mend="leave them out"
        )
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    model.peft_config["default"].base_model_name_or_path = base


def has_adapter(model: nn.Module) -> bool:
    """Whether a model has an adapter in it."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


@contextmanager
def without_adapter(model: Any) -> Iterator[None]:
    """Switch a model's adapter off for as long as the block runs.

    Raises:
        ToolwiseError: It has none.
    """
    if not has_adapter(model):
        raise ToolwiseError("the model has no adapter to switch off", mend="give a frozen copy as reference")
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()


def save_adapter(folder: Path, model: Any, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write a model's adapter as PEFT does: its configuration, and its weights as safetensors.

    Unlike ``model.save_pretrained`` it asks no hub whether the vocabulary has grown: embeddings are frozen.

    Args:
        folder: Where.
        model: With the adapter.
        weights: The adapter's weights by the model's names, where its own are shards.

    Raises:
        OSError: The disk refuses.
        SafetensorError: The same.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(
        model,
        state_dict=None if weights is None else dict(weights),
        adapter_name="default",
        save_embedding_layers=False,
    )
    named = {f"{_PREFIX}{name}": value.detach().cpu().contiguous() for name, value in state.items()}
    save_file(named, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = copy.copy(model.peft_config["default"])
    config.inference_mode = True
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))


def load_adapter(folder: Path, model: Any) -> None:
    """Put the weights of a saved adapter into that of a model.

    Raises:
        OSError: The file cannot be read.
        ValueError: It belongs to another adapter.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    state = load_file(folder / ADAPTER_WEIGHTS)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    ours = len(trained)
    if any(isinstance(value, DTensor) for value in trained.values()):
        # PEFT puts whole tensors; shards take their part of them.
        named = {_name_in_model(name): value for name, value in state.items()}
        if named.keys() != trained.keys():
            raise ValueError(f"it has {len(state)} tensors, and the model's adapter {ours}")
        for name, value in named.items():
            put(trained[name], value)
        return
    found = set_peft_model_state_dict(model, state, adapter_name="default")
    if found.unexpected_keys or len(state) != ours:
        raise ValueError(f"it has {len(state)} tensors, and the model's adapter {ours}")


def _name_in_model(name: str) -> str:
    stem, _, kind = name.removeprefix(_PREFIX).rpartition(".")
    return f"{stem}.default.{kind}"


def adapter_base(folder: Path) -> str:
    """Folder or hub id of the weights that a saved adapter belongs to.

    Raises:
        ToolwiseError: The adapter's files are not there, or do not say it.
    """
    where = str(folder)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise ToolwiseError(
            f"{ADAPTER_WEIGHTS} is missing",
            where=where,
            mend="get the adapter's files again; other formats than safetensors are not read",
        )
    try:
        base = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get(
            "base_model_name_or_path"
        )
    except (OSError, ValueError, AttributeError) as error:
        raise ToolwiseError(
            f"{ADAPTER_CONFIG} cannot be read: {error}", where=where, mend="get the adapter's files again"
        ) from error
    if not isinstance(base, str) or not base:
        raise ToolwiseError(
            "does not say which model it belongs to",
            where=str(folder / ADAPTER_CONFIG),
            mend="write the folder or the hub id into base_model_name_or_path",
        )
    return base


def merged(model: Any, folder: Path) -> Any:
    """The model with a saved adapter added to its weights: an ordinary model again.

    Raises:
        ToolwiseError: PEFT is missing, or the adapter does not belong to the model.
    """
    require_peft()
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return PeftModel.from_pretrained(model, str(folder), local_files_only=True).merge_and_unload()
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ToolwiseError(
                f"the adapter cannot be loaded: {' '.join(str(error).split())[:300]}",
                where=str(folder),
                mend="does it belong to the model that its adapter_config.json names?",
            ) from error
