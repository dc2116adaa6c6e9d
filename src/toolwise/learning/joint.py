"""Training on two losses: L = L_original + λ·L_augmentation (MinPrompt 2310.05007; Gotta 2306.04101)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolwise.core import ToolwiseError, seed_for
from toolwise.learning.learner import Learner
from toolwise.learning.objectives import SupervisedLossConfig
from toolwise.learning.run_folder import RunFolder
from toolwise.learning.run_steps import Progress, run_steps
from toolwise.learning.seq2seq import Seq2SeqLearner
from toolwise.learning.token_tree import TokenTree


def joint_batch(
    original: Sequence[TokenTree], augmentation: Sequence[TokenTree], weight: float
) -> list[TokenTree]:
    """One step's trees, weighted so that the sum over all tokens is L_original + weight · L_augmentation.

    Args:
        original: One batch; L is the mean over its trained tokens.
        augmentation: The other batch, likewise; may be empty.
        weight: λ, ≥ 0.
    """
    joined = []
    for trees, share in ((original, 1.0), (augmentation, weight)):
        total = sum(float(tree.rollout_weights.sum()) for tree in trees)
        if total and share:
            joined += [replace(tree, pair_weight=tree.pair_weight * (share / total)) for tree in trees]
    return joined


def train_joint(
    learner: Learner | Seq2SeqLearner,
    original: Sequence[Any],
    augmentation: Sequence[Any],
    *,
    run: RunFolder,
    batch_size: int,
    epochs: float,
    weight: float,
    seed: int,
    checkpoint_every: int = 100,
    tokenizer: Any = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Each step takes one batch of both; an epoch ends with the original data, the augmentation begins anew.

    Args:
        learner: Model and optimizer.
        original: What is to be learned: token trees, or pairs of token ids for an encoder-decoder model.
        augmentation: What is learned beside it; without any, this is plain supervised training.
        run: Where metrics and checkpoints go; a run that is there goes on.
        batch_size: So many of each kind in a step.
        epochs: Passes over `original`.
        weight: λ.
        seed: Decides both orders.
        checkpoint_every: Steps from one checkpoint to the next.
        tokenizer: Saved with each checkpoint.
        progress: Hears of each step.

    Returns:
        Metrics of the last step; empty if nothing was left to do.

    Raises:
        ToolwiseError: There is nothing to train on; what `Learner.step` and `RunFolder.save` raise.
    """
    if not original:
        raise ToolwiseError("there is nothing to train on", where="train_joint")
    per_epoch = math.ceil(len(original) / batch_size)
    orders: dict[tuple[str, int], Any] = {}

    def batch(name: str, given: Sequence[Any], step: int) -> list[Any]:
        if not given:
            return []
        size = math.ceil(len(given) / batch_size)
        epoch, place = divmod(step - 1, size)
        if (name, epoch) not in orders:
            orders.pop((name, epoch - 1), None)
            rng = np.random.default_rng(seed_for(seed, "order", name, epoch))
            orders[name, epoch] = rng.permutation(len(given))
        chosen = orders[name, epoch][place * batch_size : (place + 1) * batch_size]
        return [given[index] for index in chosen]

    def prepare(step: int) -> tuple[list[Any], list[Any]]:
        return batch("original", original, step), batch("augmentation", augmentation, step)

    def update(step: int, batches: tuple[list[Any], list[Any]]) -> dict[str, float]:
        if isinstance(learner, Seq2SeqLearner):
            return learner.step([(batches[0], 1.0), (batches[1], weight)])
        return learner.step(joint_batch(*batches, weight), SupervisedLossConfig(aggregation="token-sum"))

    total = math.ceil(epochs * per_epoch)
    return run_steps(
        learner, run, total, prepare, update, seed, checkpoint_every, tokenizer=tokenizer, progress=progress
    )
