"""Learner: one optimizer step on token trees, supervised or by policy gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from toolwise.core import ToolwiseError
from toolwise.learning.aggregation import aggregation_factors
from toolwise.learning.logprobs import token_logprobs
from toolwise.learning.objectives import (
    LossConfig,
    SupervisedLossConfig,
    batch_loss,
    check_packable,
    needs_all_tokens,
)
from toolwise.learning.packing import TokenBatch, pack, padding_share
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
        warmup_steps: Optimizer steps over which the learning rate rises linearly, ≥ 0.
        total_steps: Length of the run in optimizer steps (training steps times epochs times mini-batches);
            falling schedules need it.
        grad_clip: Largest norm of the gradient, > 0; None does not clip.
        token_budget: Tokens of a micro-batch, padding included, > 0; a few thousand fit a CPU's cache best,
            accelerators take more.
        precision: Of the matrix products; weights and optimizer keep theirs. ``auto`` takes bfloat16 on
            accelerators that have it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: float = Field(default=1e-4, gt=0)
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    total_steps: int | None = Field(default=None, gt=0)
    grad_clip: float | None = Field(default=1.0, gt=0)
    token_budget: int = Field(default=4096, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> LearnerConfig:
        if self.schedule != "constant" and self.total_steps is None:
            raise ValueError(f"schedule {self.schedule!r} needs 'total_steps'")
        return self

    def rate(self, step: int) -> float:
        """Learning rate of step `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant" or self.total_steps is None:
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        left = 1.0 - min(1.0, done)
        return self.learning_rate * (
            left if self.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
        )


class Learner:
    """A model and its optimizer.

    Args:
        model: A Hugging Face causal language model, on its device; it is trained in place.
        config: How it is updated.

    Raises:
        ToolwiseError: The model's attention takes no 4D mask, or no parameter is trainable.
    """

    def __init__(self, model: nn.Module, config: LearnerConfig) -> None:
        self.model, self.config = model, config
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
        self.device = trainable[0].device
        self.dtype = torch.promote_types(trainable[0].dtype, torch.float32)
        self.context: int | None = getattr(settings.get_text_config(), "max_position_embeddings", None)
        bfloat16 = config.precision == "bfloat16" or (
            config.precision == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        self._autocast: Callable[[], AbstractContextManager[Any]] = lambda: torch.autocast(
            self.device.type, torch.bfloat16, enabled=bfloat16
        )
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

    def step(
        self, trees: Sequence[TokenTree], loss: LossConfig, *, temperature: float = 1.0
    ) -> dict[str, float]:
        """One optimizer step over all the trees, in as many micro-batches as the token budget asks for.

        Args:
            trees: What to learn from; aggregation runs over all of them.
            loss: What to minimise.
            temperature: The one the rollouts were sampled with; 1 for supervised training.

        Returns:
            ``loss``, ``grad_norm`` (before clipping), ``learning_rate``, ``trained_tokens``,
            ``unique_tokens`` (computed), ``tokens`` (what unshared rollouts would have cost),
            ``padding_share``, and for policy losses means over trained tokens: ``entropy``, ``approx_kl``,
            ``clip_share``, ``kl`` (where there is a reference).

        Raises:
            ToolwiseError: A tree exceeds the context, the loss cannot be packed, or the gradient is not
                finite (the weights are then unchanged).
        """
        check_packable(loss)
        self.model.train()
        batches = self._packed(trees, loss)
        rate = self.config.rate(self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        metrics = self._accumulate(batches, loss, temperature, backward=True)
        metrics["tokens"] = float(
            sum(end - start for tree in trees for path in tree.paths for start, end in path)
        )
        metrics |= {"learning_rate": rate, "grad_norm": 0.0}
        if batches:
            limit = math.inf if self.config.grad_clip is None else self.config.grad_clip
            norm = float(nn.utils.clip_grad_norm_(self._trainable, limit))
            if not math.isfinite(norm):
                raise ToolwiseError(
                    f"the gradient of step {self.steps + 1} has norm {norm}",
                    mend="lower the learning rate; check the rewards and the model's precision",
                )
            self.optimizer.step()
            metrics["grad_norm"] = norm
        self.steps += 1
        return metrics

    def evaluate(
        self, trees: Sequence[TokenTree], loss: LossConfig, *, temperature: float = 1.0
    ) -> dict[str, float]:
        """The metrics of `step` that need no update, without one."""
        check_packable(loss)
        self.model.eval()
        with torch.no_grad():
            return self._accumulate(self._packed(trees, loss), loss, temperature, backward=False)

    def annotate_reference(
        self, trees: Sequence[TokenTree], reference: nn.Module, *, temperature: float = 1.0
    ) -> list[TokenTree]:
        """The same trees with ``ref_logprobs`` under `reference` (0 on tokens that are not trained).

        Args:
            trees: Any.
            reference: A frozen model with the same tokens.
            temperature: The one the rollouts were sampled with.
        """
        found = list(trees)
        reference.eval()
        batches = pack(
            trees,
            self.config.token_budget,
            context=self.context,
            dtype=self.dtype,
        )
        device = next(reference.parameters()).device
        for batch in batches:
            with torch.no_grad(), self._autocast():
                logprobs, _ = token_logprobs(reference, batch.to(device), temperature=temperature)
            values = logprobs.double().cpu().numpy()
            for place, index in enumerate(batch.sources):
                mine = slice(batch.source_starts[place], batch.source_starts[place + 1])
                full = np.zeros(len(trees[index]))
                full[batch.source_tokens[mine]] = values[mine]
                found[index] = replace(trees[index], ref_logprobs=full)
        return [
            tree if tree.ref_logprobs is not None else replace(tree, ref_logprobs=np.zeros(len(tree)))
            for tree in found
        ]

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and step count: tensors and plain values."""
        return {"optimizer": self.optimizer.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`; the weights themselves come with the model."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = int(state["steps"])

    def _packed(self, trees: Sequence[TokenTree], loss: LossConfig) -> list[TokenBatch]:
        factors = aggregation_factors(trees, loss.aggregation, loss.horizon)
        if not needs_all_tokens(loss):
            # A group whose rollouts were all worth the same has no gradient: it is not computed.
            useful = [bool(np.any(tree.pair_advantage)) for tree in trees]
            factors = factors[np.repeat(useful, [len(tree.paths) for tree in trees])]
            trees = [tree for tree, used in zip(trees, useful, strict=True) if used]
        return pack(
            trees,
            self.config.token_budget,
            context=self.context,
            factors=factors,
            dtype=self.dtype,
        )

    def _accumulate(
        self, batches: Sequence[TokenBatch], loss: LossConfig, temperature: float, *, backward: bool
    ) -> dict[str, float]:
        policy = not isinstance(loss, SupervisedLossConfig)
        totals: dict[str, Tensor] = {}
        for packed in batches:
            batch = packed.to(self.device)
            with self._autocast():
                logprobs, entropies = token_logprobs(
                    self.model, batch, temperature=temperature, entropy=policy
                )
            value, sums = batch_loss(loss, batch, logprobs, entropies)
            if backward:
                value.backward()  # type: ignore[no-untyped-call]
            for name, part in {"loss": value.detach(), **sums}.items():
                totals[name] = totals[name] + part if name in totals else part
        trained = sum(len(batch.targets) for batch in batches)
        metrics = {
            name: float(total) / (1 if name == "loss" else max(1, trained)) for name, total in totals.items()
        }
        return (
            {"loss": 0.0}
            | metrics
            | {
                "trained_tokens": float(trained),
                "unique_tokens": float(sum(batch.tokens for batch in batches)),
                "padding_share": padding_share(batches),
            }
        )
