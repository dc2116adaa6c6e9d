"""Sampling one step ahead: while a step is learnt from, the rollouts of the next one are collected.

They come from weights that are one update old. What that does to the gradient is corrected by truncated
importance weights (Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL training";
Ionides 2008), and measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwise.core import RolloutTree
from toolwise.learning.token_tree import TokenTree

Floats = NDArray[np.float64]


class Ahead:
    """Collects the next step's rollouts in a thread of its own.

    Args:
        collect: The rollouts of a step, from the weights that were frozen last.
        freeze: Lets `collect` sample from a copy of the present weights, which learning does not touch.
    """

    def __init__(self, collect: Callable[[int], list[RolloutTree]], freeze: Callable[[], None]) -> None:
        self._collect, self._freeze = collect, freeze
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts")
        self._pending: tuple[int, Future[list[RolloutTree]]] | None = None

    def take(self, step: int) -> list[RolloutTree]:
        """The rollouts of this step: those begun before, or fresh ones where none were."""
        if self._pending is not None and self._pending[0] == step:
            (_, future), self._pending = self._pending, None
            return future.result()
        self.close()
        self._freeze()
        return self._collect(step)

    def start(self, step: int) -> None:
        """Begin with the rollouts of a step, from the present weights."""
        self._freeze()
        self._pending = step, self._thread.submit(self._collect, step)

    def close(self) -> None:
        """Wait for what was begun, and forget it."""
        if self._pending is not None:
            self._pending[1].exception()
            self._pending = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs: a resumed run learns from the very rollouts that the straight one does."""
        if self._pending is None:
            return {}
        step, future = self._pending
        return {"step": step, "trees": [tree.to_record() for tree in future.result()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.close()
        if state:
            future: Future[list[RolloutTree]] = Future()
            future.set_result([RolloutTree.from_record(record) for record in state["trees"]])
            self._pending = int(state["step"]), future


def corrected(
    trees: Sequence[TokenTree], present: Sequence[Floats], cap: float
) -> tuple[list[TokenTree], dict[str, float]]:
    """Trees from older weights, as if the present ones had sampled them.

    The weight of a trained token is min(π_present / π_sampling, cap); its advantage is multiplied by it, and
    the ratio that PPO clips is taken against the present policy from there on (a decoupled objective: Hilton
    et al. 2022).

    Args:
        trees: With ``old_logprobs`` at sampling time.
        present: Log-probabilities under the present weights, one array a tree, shape (N,).
        cap: Largest weight, > 0.

    Returns:
        The trees, and over all trained tokens: ``stale_kl``, the mean of log π_sampling − log π_present in
        nats; ``importance_mean`` and ``importance_max`` of the ratio; ``importance_cut_share`` of tokens
        above the cap; ``effective_share``, (Σw)² / (n·Σw²), 1 where all weigh the same.
    """
    found, gaps, cut = [], [], []
    for tree, logprobs in zip(trees, present, strict=True):
        gap = np.where(tree.weight > 0, logprobs - tree.old_logprobs, 0.0)
        weight = np.minimum(np.exp(gap), cap)
        advantage = tree.pair_advantage * weight[tree.pair_token]
        found.append(replace(tree, old_logprobs=np.asarray(logprobs), pair_advantage=advantage))
        trained = tree.weight > 0
        gaps.append(gap[trained])
        cut.append(weight[trained])
    gap, weight = np.concatenate(gaps), np.concatenate(cut)
    if not len(gap):
        return found, {}
    ratio = np.exp(gap)
    return found, {
        "stale_kl": float(-gap.mean()),
        "importance_mean": float(ratio.mean()),
        "importance_max": float(ratio.max()),
        "importance_cut_share": float((ratio > cap).mean()),
        "effective_share": float(weight.sum() ** 2 / (len(weight) * (weight**2).sum())),
    }
