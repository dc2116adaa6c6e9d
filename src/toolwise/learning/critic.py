"""Critic: a value for each state, learned beside the policy (PPO, Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from toolwise.learning.aggregation import aggregation_factors
from toolwise.learning.losses import value_errors
from toolwise.learning.packing import TokenBatch
from toolwise.learning.sharding import Spread
from toolwise.learning.token_tree import TokenTree
from toolwise.learning.updater import LearnerConfig, ModelUpdater
from toolwise.learning.values import Head, token_values


class CriticConfig(BaseModel):
    """How the critic is trained. It takes as many passes and mini-batches as the policy.

    Attributes:
        learner: How its weights are updated, by an optimizer of its own.
        clip: How far a value may move from the one at sampling time before its error stops falling, ≥ 0
            (verl's ``cliprange_value``); None does not clip.
        head: Weights of the head at the beginning: ``normal``, as verl has it, or ``zero``. Values that begin
            as the one number 0 are no worse a baseline than none; those of random weights spread far wider
            than the returns until the critic has seen many rollouts.
        warmup_steps: Training steps at the beginning in which the critic alone learns and the policy stays as
            it is, ≥ 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learner: LearnerConfig = LearnerConfig(learning_rate=1e-5)
    clip: float | None = Field(default=0.5, ge=0)
    head: Head = "normal"
    warmup_steps: int = Field(default=0, ge=0)


def batch_value_loss(batch: TokenBatch, values: Tensor, clip: float | None) -> tuple[Tensor, Tensor]:
    """The batch's summand of the value loss, and the number of pairs where the clipped term was larger.

    Rollouts that share a token may have different returns from there on, so the sum runs over pairs.

    Args:
        batch: Packed trees with ``values`` and ``pair_return``, weights aggregated over the whole step.
        values: Present values of the trained tokens, shape (N,).
        clip: See `value_errors`.
    """
    assert batch.values is not None
    assert batch.pair_return is not None
    new, old = values[batch.pair_token], batch.values[batch.pair_token]
    errors, clipped = value_errors(new, old, batch.pair_return, clip)
    return (batch.pair_weight * errors).sum(), clipped.sum()


def explained_variance(trees: Sequence[TokenTree]) -> dict[str, float]:
    """How well the values at sampling time foretold the returns, over all pairs.

    Returns:
        ``explained_variance``, 1 − Var(R − V) / Var(R), at most 1 and 0 for a constant (left out where all
        returns are equal); ``returns_mean``; ``values_mean``.
    """
    returns = np.concatenate([tree.pair_return for tree in trees if tree.pair_return is not None])
    values = np.concatenate([tree.values[tree.pair_token] for tree in trees if tree.values is not None])
    if not len(returns):
        return {}
    found = {"returns_mean": float(returns.mean()), "values_mean": float(values.mean())}
    spread = float(returns.var())
    # Below this the returns are one number, up to rounding.
    if spread > 1e-12 * max(1.0, found["returns_mean"] ** 2):
        found["explained_variance"] = 1.0 - float((returns - values).var()) / spread
    return found


class Critic(ModelUpdater):
    """The critic and its optimizer, see `ModelUpdater`.

    Args:
        model: From `value_model`.
        config: How it is trained.
        spread: See `ModelUpdater`.
    """

    def __init__(self, model: nn.Module, config: CriticConfig, spread: Spread | None = None) -> None:
        super().__init__(model, config.learner, spread, token_values)
        self.clip, self.warmup_steps = config.clip, config.warmup_steps

    def annotate_values(self, trees: Sequence[TokenTree]) -> list[TokenTree]:
        """The same trees with ``values`` (0 on tokens that are not trained).

        Raises:
            ToolwiseError: A tree exceeds the context.
        """
        self.model.eval()
        found = self._annotations(trees, self._compute)
        return [replace(tree, values=values) for tree, values in zip(trees, found, strict=True)]

    def step(self, trees: Sequence[TokenTree]) -> dict[str, float]:
        """One optimizer step on the mean value loss over all pairs of the trees.

        Args:
            trees: With ``values`` and ``pair_return``.

        Returns:
            ``value_loss``, ``value_clip_share`` (of pairs), ``critic_grad_norm`` (before clipping),
            ``critic_learning_rate``.

        Raises:
            ToolwiseError: The gradient is not finite (the weights are then unchanged).
        """
        batches = self._share(trees, aggregation_factors(trees, "token-mean")).batches
        metrics = {"critic_grad_norm": 0.0, "critic_learning_rate": self._begin()}
        totals = {"value_loss": 0.0, "clipped": 0.0, "pairs": 0.0}
        passes = 0
        for batch, real in self._passes(batches):
            with self._autocast():
                values = self._compute(batch)
            passes += 1
            if not real:
                self._backward(0.0 * values.sum())
                continue
            loss, cut = batch_value_loss(batch, values, self.clip)
            self._backward(loss)
            totals["value_loss"] += float(loss.detach())
            totals["clipped"] += float(cut)
            totals["pairs"] += len(batch.pair_token)
        if passes:
            metrics["critic_grad_norm"] = self._apply("critic's gradient")
        self.steps += 1
        totals = self.world.totals(totals)
        share = totals["clipped"] / max(1.0, totals["pairs"])
        return {"value_loss": totals["value_loss"]} | metrics | {"value_clip_share": share}
