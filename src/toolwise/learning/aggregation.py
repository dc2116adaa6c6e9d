"""How token losses become one number: a factor for each rollout, settled over a whole optimizer step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from toolwise.core import ToolwiseError
from toolwise.learning.losses import Aggregation, sequence_weights
from toolwise.learning.token_tree import TokenTree


def aggregation_factors(
    trees: Sequence[TokenTree],
    mode: Aggregation,
    horizon: int | None = None,
    parts: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """What each rollout's pair weights are multiplied with, so that micro-batches simply add up.

    Args:
        trees: All trees of the optimizer step.
        mode: See `losses.sequence_weights`; the length of a rollout is the sum of its pair weights.
        horizon: Fixed length, tokens; only ``seq-mean-token-sum-norm`` takes it, and needs it here, because
            a packed batch has no padded length.
        parts: Weight of each part of the data, ``*`` for those that are not named; each part is then
            aggregated by itself. None or empty: all trees are one part of weight 1.

    Returns:
        Factors, shape (rollouts of all trees,), tree after tree.

    Raises:
        ToolwiseError: The horizon is missing, or a tree's part has no weight.
    """
    if mode == "seq-mean-token-sum-norm" and horizon is None:
        raise ToolwiseError(
            "seq-mean-token-sum-norm has no horizon",
            where="loss.horizon",
            mend="set it to the longest completion, in tokens",
        )
    lengths = np.concatenate([np.empty(0), *(tree.rollout_weights for tree in trees)])
    if not parts:
        return _factors(lengths, mode, horizon)
    owners = np.repeat([tree.part for tree in trees], [len(tree.paths) for tree in trees])
    factors = np.zeros(len(lengths))
    for part in dict.fromkeys(tree.part for tree in trees):
        weight = parts.get(part, parts.get("*"))
        if weight is None:
            raise ToolwiseError(
                f"the part '{part}' of the data has no weight" if part else "a row belongs to no part",
                where="loss.parts",
                mend=f"give it one, or all others: '*': 1; named are {', '.join(parts)}",
            )
        own = owners == part
        factors[own] = weight * _factors(lengths[own], mode, horizon)
    return factors


def _factors(lengths: NDArray[np.float64], mode: Aggregation, horizon: int | None) -> NDArray[np.float64]:
    found: NDArray[np.float64] = sequence_weights(torch.from_numpy(lengths), mode, horizon=horizon).numpy()
    return found
