"""RankShare: what one rank computes of a step's trees, and what all ranks computed, laid out along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolwise.learning.distributed import World
from toolwise.learning.packing import TokenBatch, pack, unpacked
from toolwise.learning.splitting import Piece, pieces
from toolwise.learning.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class RankShare:
    """One rank's share of trees that every rank has.

    Attributes:
        lengths: Tokens of each tree.
        parts: The trees, in pieces where they are longer than a micro-batch; the same on every rank.
        mine: Which parts are this rank's, ascending.
        batches: Those, packed.
    """

    lengths: tuple[int, ...]
    parts: tuple[Piece, ...]
    mine: tuple[int, ...]
    batches: tuple[TokenBatch, ...]

    @classmethod
    def of(
        cls,
        trees: Sequence[TokenTree],
        world: World,
        token_budget: int,
        *,
        context: int | None,
        dtype: torch.dtype,
        factors: NDArray[np.float64] | None = None,
        whole: bool = False,
    ) -> RankShare:
        """Share trees out by their tokens, and pack this rank's; without communication.

        Args:
            trees: The same on every rank.
            world: The ranks.
            token_budget: Tokens of a micro-batch, > 0; a longer tree is cut between its rollouts.
            context: See `pack`.
            dtype: See `pack`.
            factors: Aggregation factor of each rollout of all trees; None means 1.
            whole: No tree is cut.

        Raises:
            ToolwiseError: See `pack`; it looks at this rank's trees only.
        """
        parts = pieces(trees, sum(map(len, trees)) if whole else token_budget)
        mine = world.share([len(part.tree) for part in parts])
        if factors is not None:
            ends = np.cumsum([0, *(len(part.tree.paths) for part in parts)])
            factors = np.concatenate([np.empty(0), *(factors[ends[at] : ends[at + 1]] for at in mine)])
        chosen = [parts[at].tree for at in mine]
        batches = pack(chosen, token_budget, context=context, factors=factors, dtype=dtype)
        return cls(tuple(map(len, trees)), tuple(parts), tuple(mine), tuple(batches))

    def joined(self, computed: Sequence[Tensor], world: World) -> list[NDArray[np.float64]]:
        """What all ranks computed for the trained tokens, on every rank, which all must ask for it.

        Args:
            computed: One value for each trained token of each of this rank's batches, shape (N,).
            world: The ranks.

        Returns:
            For each tree one value for each token, 0 where it is not trained.
        """
        ours = unpacked([self.parts[at].tree for at in self.mine], self.batches, computed)
        found = [np.zeros(length) for length in self.lengths]
        everyones = world.joined(dict(zip(self.mine, ours, strict=True)))
        for part, along in zip(self.parts, everyones, strict=True):
            found[part.origin][part.tokens] = along
        return found
