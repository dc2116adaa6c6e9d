"""Learner: one optimizer step on token trees, supervised or by policy gradient."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolwise.core import ToolwiseError
from toolwise.learning.adapters import without_adapter
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
from toolwise.learning.packing import TokenBatch
from toolwise.learning.sharding import Compute, Spread
from toolwise.learning.token_tree import TokenTree
from toolwise.learning.updater import LearnerConfig, ModelUpdater


class Learner(ModelUpdater):
    """The policy and its optimizer, see `ModelUpdater`."""

    def __init__(self, model: nn.Module, config: LearnerConfig, spread: Spread | None = None) -> None:
        super().__init__(model, config, spread)
        self._references: dict[int, tuple[nn.Module, Compute]] = {}

    def step(
        self, trees: Sequence[TokenTree], loss: LossConfig, *, temperature: float = 1.0
    ) -> dict[str, float]:
        """One optimizer step over all the trees, in as many micro-batches as the token budget asks for.

        Args:
            trees: What to learn from, the same on every rank, which takes its share of them; aggregation
                runs over all of them, and so do the metrics.
            loss: What to minimise.
            temperature: The one the rollouts were sampled with; 1 for supervised training.

        Returns:
            ``loss``, ``grad_norm`` (before clipping), ``learning_rate``, ``trained_tokens``,
            ``unique_tokens`` (computed), ``tokens`` (what unshared rollouts would have cost),
            ``padding_share``, ``oversized_rollouts`` (longer than the token budget: each is computed alone
            and takes more memory than was planned), and for policy losses means over trained tokens:
            ``entropy``, ``approx_kl``, ``clip_share``, ``kl`` (where there is a reference). For preferences
            means over pairs of answers, see `preference_loss`.

        Raises:
            ToolwiseError: A tree exceeds the context, the loss cannot be packed, or the gradient is not
                finite (the weights are then unchanged).
        """
        check_packable(loss)
        batches = self._packed(trees, loss)
        rate = self._begin()
        metrics, passes = self._accumulate(batches, loss, temperature, len(trees), backward=True)
        metrics["tokens"] = float(
            sum(end - start for tree in trees for path in tree.paths for start, end in path)
        )
        metrics["oversized_rollouts"] = float(
            sum(
                sum(end - start for start, end in path) > self.config.token_budget
                for tree in trees
                if len(tree) > self.config.token_budget
                for path in tree.paths
            )
        )
        metrics |= {"learning_rate": rate, "grad_norm": 0.0}
        if passes:
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
            packed = self._packed(trees, loss)
            return self._accumulate(packed, loss, temperature, len(trees), backward=False)[0]

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
        off: AbstractContextManager[None] = nullcontext()
        if reference is self.model:
            off, compute = without_adapter(reference), self._compute
        else:
            if id(reference) not in self._references:
                computed = self.spread.computing(reference, token_logprobs, narrow=self._bfloat16)
                self._references[id(reference)] = reference, computed
            compute = self._references[id(reference)][1]
        with off:
            found = self._annotations(trees, lambda batch: compute(batch, temperature=temperature)[0])
        return [replace(tree, ref_logprobs=logprobs) for tree, logprobs in zip(trees, found, strict=True)]

    def present_logprobs(
        self, trees: Sequence[TokenTree], *, temperature: float = 1.0
    ) -> list[NDArray[np.float64]]:
        """Log-probabilities under the present weights, shape (N,) for each tree, 0 on what is not trained.

        Args:
            trees: Any.
            temperature: The one the rollouts were sampled with.
        """
        self.model.eval()
        return self._annotations(trees, lambda batch: self._compute(batch, temperature=temperature)[0])

    def _packed(self, trees: Sequence[TokenTree], loss: LossConfig) -> Sequence[TokenBatch]:
        if isinstance(loss, DPOLossConfig):
            _check_pairs(trees)
            return self._share(trees, whole=True).batches
        parts = loss.parts if isinstance(loss, SupervisedLossConfig) else {}
        factors = aggregation_factors(trees, loss.aggregation, loss.horizon, parts)
        if not needs_all_tokens(loss):
            # A group whose rollouts were all worth the same has no gradient: it is not computed.
            useful = [bool(np.any(tree.pair_advantage)) for tree in trees]
            factors = factors[np.repeat(useful, [len(tree.paths) for tree in trees])]
            trees = [tree for tree, used in zip(trees, useful, strict=True) if used]
        return self._share(trees, factors).batches

    def _accumulate(
        self,
        batches: Sequence[TokenBatch],
        loss: LossConfig,
        temperature: float,
        trees: int,
        *,
        backward: bool,
    ) -> tuple[dict[str, float], int]:
        """Metrics over all ranks, and how many passes each rank made; `trees` are those of all ranks."""
        policy = not isinstance(loss, SupervisedLossConfig | DPOLossConfig)
        pairs = trees if isinstance(loss, DPOLossConfig) else 1
        totals: dict[str, Tensor] = {}
        passes = 0
        for batch, real in self._passes(batches):
            with self._autocast():
                logprobs, entropies = self._compute(batch, temperature=temperature, entropy=policy)
            passes += 1
            value, sums = batch_loss(loss, batch, logprobs, entropies) if real else (0.0 * logprobs.sum(), {})
            value = value / pairs
            if backward:
                self._backward(value)
            for name, part in {"loss": value.detach(), **sums}.items():
                totals[name] = totals[name] + part if name in totals else part
        counts = {
            "trained_tokens": float(sum(len(batch.targets) for batch in batches)),
            "unique_tokens": float(sum(batch.tokens for batch in batches)),
            "places": float(sum(batch.size for batch in batches)),
        }
        found = self.world.totals({name: float(total) for name, total in totals.items()} | counts)
        counts = {name: found.pop(name) for name in counts}
        means = {
            name: total / (1 if name == "loss" else max(1.0, counts["trained_tokens"] if policy else pairs))
            for name, total in found.items()
        }
        places = counts.pop("places")
        filled = counts["unique_tokens"] / places if places else 1.0
        return {"loss": 0.0} | means | counts | {"padding_share": 1.0 - filled}, passes


def _check_pairs(trees: Sequence[TokenTree]) -> None:
    for tree in trees:
        if len(tree.paths) != 2 or len(np.unique(tree.pair_rollout)) != 2:
            raise ToolwiseError(
                f"task {tree.name!r} has {len(tree.paths)} answers with something to train on, not two",
                where="loss.type dpo",
                mend="give trees of a chosen and a rejected answer",
            )
