"""ModelUpdater: a model with its optimizer, what policy and critic have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from toolwise.core import ToolwiseError
from toolwise.learning.adapters import has_adapter
from toolwise.learning.distributed import EverywhereError
from toolwise.learning.layer_checkpoints import checkpoint_layers
from toolwise.learning.logprobs import token_logprobs
from toolwise.learning.packing import TokenBatch
from toolwise.learning.rank_share import RankShare
from toolwise.learning.sharding import (
    Compute,
    Spread,
    gathered_optimizer,
    gathered_weights,
    load_optimizer,
    whole,
)
from toolwise.learning.token_tree import TokenTree

Decay = Annotated[float, Field(ge=0, lt=1)]
"""Decay of a running mean, in [0, 1)."""


class LearnerConfig(BaseModel):
    """How weights are updated.

    Attributes:
        learning_rate: Highest learning rate, > 0.
        betas: AdamW's decay of the first and the second moment, each in [0, 1).
        weight_decay: AdamW's decoupled decay, on matrices only, ≥ 0.
        schedule: After the warm-up: constant, or falling to 0 at `total_steps`, linearly or as a cosine.
        idle_steps: Optimizer steps at the start with learning rate 0, in which only AdamW's moments are
            gathered, ≥ 0; the warm-up comes after them.
        warmup_steps: Optimizer steps over which the learning rate rises linearly, ≥ 0.
        total_steps: Length of the run in optimizer steps (training steps times epochs times mini-batches);
            falling schedules need it.
        grad_clip: Largest norm of the gradient, > 0; None does not clip.
        token_budget: Tokens of a micro-batch, padding included, > 0; a few thousand fit a CPU's cache best,
            accelerators take more. A larger tree is cut between its rollouts, a longer rollout is computed
            alone.
        gradient_checkpointing: Keep only what goes into each layer, and compute the rest anew in the backward
            pass: far less memory for about a third more time, and the same gradients.
        precision: Of the matrix products; weights and optimizer keep theirs. ``auto`` takes bfloat16 on
            accelerators that have it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: float = Field(default=1e-4, gt=0)
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    idle_steps: int = Field(default=0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    total_steps: int | None = Field(default=None, gt=0)
    grad_clip: float | None = Field(default=1.0, gt=0)
    token_budget: int = Field(default=4096, gt=0)
    gradient_checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> LearnerConfig:
        if self.schedule != "constant" and self.total_steps is None:
            raise ValueError(f"schedule {self.schedule!r} needs 'total_steps'")
        return self

    def rate(self, step: int) -> float:
        """Learning rate of step `step`, counted from 0."""
        step -= self.idle_steps
        if step < 0:
            return 0.0
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant" or self.total_steps is None:
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, self.total_steps - self.idle_steps - self.warmup_steps)
        left = 1.0 - min(1.0, done)
        return self.learning_rate * (
            left if self.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
        )


class ModelUpdater:
    """A model and its optimizer.

    Args:
        model: A Hugging Face model, on its device; it is trained in place.
        config: How it is updated.
        spread: The ranks that share the work; sharded models are sharded here. Default: this process.
        compute: What is computed with the model.

    Raises:
        ToolwiseError: The model's attention takes no 4D mask, no parameter is trainable, or it cannot be
            sharded.
    """

    def __init__(
        self,
        model: nn.Module,
        config: LearnerConfig,
        spread: Spread | None = None,
        compute: Compute = token_logprobs,
    ) -> None:
        self.model, self.config = model, config
        self.spread = Spread() if spread is None else spread
        self.world = self.spread.world
        self.steps = 0
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not trainable:
            raise ToolwiseError("the model has no trainable parameter", mend="unfreeze it, or add an adapter")
        settings: Any = model.config
        attention = settings._attn_implementation
        if attention not in ("sdpa", "eager"):
            raise ToolwiseError(
                f"attention {attention!r} takes no tree mask",
                where="model",
                mend="load it with attn_implementation='sdpa'",
            )
        self.device = self.spread.device or trainable[0].device
        self.dtype = torch.promote_types(trainable[0].dtype, torch.float32)
        self.context: int | None = getattr(settings.get_text_config(), "max_position_embeddings", None)
        self._bfloat16 = bfloat16 = config.precision == "bfloat16" or (
            config.precision == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        self._autocast: Callable[[], AbstractContextManager[Any]] = lambda: torch.autocast(
            self.device.type, torch.bfloat16, enabled=bfloat16
        )
        if config.gradient_checkpointing:
            checkpoint_layers(model)
        self._compute = self.spread.computing(model, compute, narrow=bfloat16)
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._trainable = trainable
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=config.betas,
            fused=self.device.type in ("cpu", "cuda", "mps"),
        )

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and step count: tensors and plain values, the same for any number of ranks.

        All ranks must ask for it; only the first one gets tensors.
        """
        return {"optimizer": gathered_optimizer(self.optimizer, self.world), "steps": self.steps}

    def whole_weights(self) -> dict[str, Tensor] | None:
        """What a checkpoint holds, where the model's own weights are shards; all ranks must ask for it."""
        if not self.spread.sharded:
            return None
        return gathered_weights(self.model, self.world, trained_only=has_adapter(self.model))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`; the weights themselves come with the model."""
        load_optimizer(self.optimizer, state["optimizer"])
        self.steps = int(state["steps"])

    def _passes(self, batches: Sequence[TokenBatch]) -> Iterator[tuple[TokenBatch, bool]]:
        """See `Spread.passes`."""
        return self.spread.passes(self._compute, batches, self.device, self.dtype)

    def _share(
        self,
        trees: Sequence[TokenTree],
        factors: NDArray[np.float64] | None = None,
        *,
        whole: bool = False,
    ) -> RankShare:
        """This rank's part of the trees, see `RankShare.of`."""
        return self.world.agreed(
            lambda: RankShare.of(
                trees,
                self.world,
                self.config.token_budget,
                context=self.context,
                dtype=self.dtype,
                factors=factors,
                whole=whole,
            )
        )

    def _annotations(
        self, trees: Sequence[TokenTree], compute: Callable[[TokenBatch], Tensor]
    ) -> list[NDArray[np.float64]]:
        """One number for each token of each tree (0 where not trained), computed by all ranks together."""
        share = self._share(trees)
        computed = []
        for batch, real in self._passes(share.batches):
            with torch.no_grad(), self._autocast():
                values = compute(batch)
            if real:
                computed.append(values)
        return share.joined(computed, self.world)

    def _backward(self, summand: Tensor) -> None:
        """Gradients of this rank's summand of the loss; DDP and FSDP2 take means, and we sum."""
        (summand * self.world.size).backward()  # type: ignore[no-untyped-call]

    def _begin(self) -> float:
        """Ready the model and the optimizer for the gradients of a step; its learning rate."""
        self.model.train()
        rate = self.config.rate(self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        return rate

    def _apply(self, whose: str) -> float:
        """Clip the gradient and take the step; the norm before clipping."""
        limit = math.inf if self.config.grad_clip is None else self.config.grad_clip
        norm = float(whole(nn.utils.clip_grad_norm_(self._trainable, limit)))
        if not math.isfinite(norm):
            raise EverywhereError(  # the norm is that of all ranks
                f"the {whose} of step {self.steps + 1} has norm {norm}",
                mend="lower the learning rate; check the rewards and the model's precision",
            )
        self.optimizer.step()
        return norm
