"""Trees that are larger than a micro-batch, as several with some of their rollouts each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toolwise.learning.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Piece:
    """A tree, or some rollouts of it.

    Attributes:
        tree: With all tokens of these rollouts.
        origin: Index of the tree that it was cut from.
        tokens: Which of that tree's tokens it has, ascending.
    """

    tree: TokenTree
    origin: int
    tokens: NDArray[np.int64]


def pieces(trees: Sequence[TokenTree], budget: int) -> list[Piece]:
    """Trees of at most `budget` tokens; rollouts stay whole and in their order.

    A loss is a sum over pairs of a token and a rollout, so cutting between rollouts changes neither
    loss nor gradients: what they share is computed once for each piece.

    Args:
        trees: Any.
        budget: Tokens, > 0; a rollout that is longer is a piece of its own.
    """
    found = []
    for origin, tree in enumerate(trees):
        if len(tree) <= budget or len(tree.paths) < 2:
            found.append(Piece(tree, origin, np.arange(len(tree))))
            continue
        first, kept = 0, np.empty(0, dtype=np.int64)
        for rollout in range(len(tree.paths)):
            union = np.union1d(kept, tree.path_tokens(rollout))
            if rollout > first and len(union) > budget:
                found.append(Piece(_cut(tree, first, rollout, kept), origin, kept))
                first, union = rollout, np.unique(tree.path_tokens(rollout))
            kept = union
        found.append(Piece(_cut(tree, first, len(tree.paths), kept), origin, kept))
    return found


def _cut(tree: TokenTree, first: int, end: int, kept: NDArray[np.int64]) -> TokenTree:
    """Rollouts `first` to `end` of a tree, whose tokens are `kept`."""
    place = np.full(len(tree), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    segments = np.unique(tree.enter[kept])
    mine = (tree.pair_rollout >= first) & (tree.pair_rollout < end)
    before = tree.predecessor[kept]
    return replace(
        tree,
        input_ids=tree.input_ids[kept],
        position_ids=tree.position_ids[kept],
        # Numbered anew, since packing counts on as many moments as segments.
        enter=np.searchsorted(segments, tree.enter[kept]),
        exit=np.searchsorted(segments, tree.exit[kept]),
        predecessor=np.where(before < 0, -1, place[before]),
        old_logprobs=tree.old_logprobs[kept],
        paths=tuple(
            tuple((int(place[start]), int(place[stop - 1]) + 1) for start, stop in path)
            for path in tree.paths[first:end]
        ),
        pair_token=place[tree.pair_token[mine]],
        pair_rollout=tree.pair_rollout[mine] - first,
        pair_weight=tree.pair_weight[mine],
        pair_advantage=tree.pair_advantage[mine],
        ref_logprobs=None if tree.ref_logprobs is None else tree.ref_logprobs[kept],
        values=None if tree.values is None else tree.values[kept],
        pair_return=None if tree.pair_return is None else tree.pair_return[mine],
    )
