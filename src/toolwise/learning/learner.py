"""Learner: one optimizer step on token trees, supervised or by policy gradient."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from toolwise.core import ToolwiseError
from toolwise.learning.adapters import has_adapter, without_adapter
from toolwise.learning.aggregation import aggregation_factors
from toolwise.learning.logprobs import token_logprobs
from toolwise.learning.losses import DPOLossConfig
from toolwise.learning.objectives import (
    LossConfig,
    SupervisedLossConfig,
    batch_loss,
    check_packable,
    needs_all_tokens,
)
from toolwise.learning.packing import TokenBatch, pack, padding_share, unpacked
from toolwise.learning.token_tree import TokenTree
from toolwise.learning.updater import ModelUpdater


class Learner(ModelUpdater):
    """The policy and its optimizer, see `ModelUpdater`."""

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
            ``clip_share``, ``kl`` (where there is a reference). For preferences means over pairs of answers,
            see `preference_loss`.

        Raises:
            ToolwiseError: A tree exceeds the context, the loss cannot be packed, or the gradient is not
                finite (the weights are then unchanged).
        """
        check_packable(loss)
        batches = self._packed(trees, loss)
        rate = self._begin()
        metrics = self._accumulate(batches, loss, temperature, len(trees), backward=True)
        metrics["tokens"] = float(
            sum(end - start for tree in trees for path in tree.paths for start, end in path)
        )
        metrics |= {"learning_rate": rate, "grad_norm": 0.0}
        if batches:
            metrics["grad_norm"] = self._apply("gradient")
        self.steps += 1
        return metrics

    def evaluate(
        self, trees: Sequence[TokenTree], loss: LossConfig, *, temperature: float = 1.0
    ) -> dict[str, float]:
        """The metrics of `step` that need no update, without one."""
        check_packable(loss)
        self.model.eval()
        with torch.no_grad():
            return self._accumulate(self._packed(trees, loss), loss, temperature, len(trees), backward=False)

    def annotate_reference(
        self, trees: Sequence[TokenTree], reference: nn.Module, *, temperature: float = 1.0
    ) -> list[TokenTree]:
        """The same trees with ``ref_logprobs`` under `reference` (0 on tokens that are not trained).

        Args:
            trees: Any.
            reference: A frozen model with the same tokens, or the policy itself: as it stands now, and
                without its adapter where it has one.
            temperature: The one the rollouts were sampled with.
        """
        reference.eval()
        own = reference is self.model and has_adapter(self.model)
        off = without_adapter(reference) if own else nullcontext()
        batches = pack(trees, self.config.token_budget, context=self.context, dtype=self.dtype)
        device = next(reference.parameters()).device
        with torch.no_grad(), self._autocast(), off:
            found = [
                token_logprobs(reference, batch.to(device), temperature=temperature)[0] for batch in batches
            ]
        return [
            replace(tree, ref_logprobs=logprobs)
            for tree, logprobs in zip(trees, unpacked(trees, batches, found), strict=True)
        ]

    def _packed(self, trees: Sequence[TokenTree], loss: LossConfig) -> list[TokenBatch]:
        if isinstance(loss, DPOLossConfig):
            _check_pairs(trees)
            return pack(trees, self.config.token_budget, context=self.context, dtype=self.dtype)
        parts = loss.parts if isinstance(loss, SupervisedLossConfig) else {}
        factors = aggregation_factors(trees, loss.aggregation, loss.horizon, parts)
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
        self,
        batches: Sequence[TokenBatch],
        loss: LossConfig,
        temperature: float,
        trees: int,
        *,
        backward: bool,
    ) -> dict[str, float]:
        policy = not isinstance(loss, SupervisedLossConfig | DPOLossConfig)
        pairs = trees if isinstance(loss, DPOLossConfig) else 1
        totals: dict[str, Tensor] = {}
        for packed in batches:
            batch = packed.to(self.device)
            with self._autocast():
                logprobs, entropies = token_logprobs(
                    self.model, batch, temperature=temperature, entropy=policy
                )
            value, sums = batch_loss(loss, batch, logprobs, entropies)
            value = value / pairs
            if backward:
                value.backward()  # type: ignore[no-untyped-call]
            for name, part in {"loss": value.detach(), **sums}.items():
                totals[name] = totals[name] + part if name in totals else part
        trained = sum(len(batch.targets) for batch in batches)
        metrics = {
            name: float(total) / (1 if name == "loss" else max(1, trained if policy else pairs))
            for name, total in totals.items()
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


def _check_pairs(trees: Sequence[TokenTree]) -> None:
    for tree in trees:
        if len(tree.paths) != 2 or len(np.unique(tree.pair_rollout)) != 2:
            raise ToolwiseError(
                f"task {tree.name!r} has {len(tree.paths)} answers with something to train on, not two",
                where="loss.type dpo",
                mend="give trees of a chosen and a rejected answer",
            )
