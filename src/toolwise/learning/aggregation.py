"""How token losses become one number: a factor for each rollout, settled over a whole optimizer step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from toolwise.core import ToolwiseError
from toolwise.learning.losses import Aggregation, sequence_weights
from toolwise.learning.token_tree import TokenTree


def aggregation_factors(
    trees: Sequence[TokenTree], mode: Aggregation, horizon: int | None = None
) -> NDArray[np.float64]:
    """What each rollout's pair weights are multiplied with, so that micro-batches simply add up.

    Args:
        trees: All trees of the optimizer step.
        mode: See `losses.sequence_weights`; the length of a rollout is the sum of its pair weights.
        horizon: Fixed length, tokens; only ``seq-mean-token-sum-norm`` takes it, and needs it here, because
            a packed batch has no padded length.

    Returns:
        Factors, shape (rollouts of all trees,), tree after tree.

    Raises:
        ToolwiseError: The horizon is missing.
    """
    if mode == "seq-mean-token-sum-norm" and horizon is None:
        raise ToolwiseError(
            "seq-mean-token-sum-norm has no horizon",
            where="loss.horizon",
            mend="set it to the longest completion, in tokens",
        )
    lengths = np.concatenate([np.empty(0), *(tree.rollout_weights for tree in trees)])
    factors: NDArray[np.float64] = sequence_weights(torch.from_numpy(lengths), mode, horizon=horizon).numpy()
    return factors
