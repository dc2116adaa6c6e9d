"""Packing: token trees side by side in rows, rows in batches of at most a budget of tokens."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolwise.core import ToolwiseError
from toolwise.learning.token_tree import TokenTree

TREES_PER_ROW = 4
"""Rows are at least this many mean trees long: enough to fill them well, while their masks stay cheap."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Trees packed in R rows of L tokens, with N trained tokens and P pairs.

    Attributes:
        input_ids: Shape (R, L), 0 on padding.
        position_ids: Shape (R, L).
        enter: Shape (R, L), −1 on padding; trees in one batch have disjoint intervals.
        exit: Shape (R, L), 0 on padding.
        trained: Place in the flattened rows of each trained token, shape (N,).
        predecessor: Place of the hidden state that predicts it, shape (N,).
        targets: Its id, shape (N,).
        weight: Its aggregated weight, summed over rollouts, shape (N,).
        advantage_pos: Σ aggregated weight · max(A, 0) over rollouts, shape (N,).
        advantage_neg: Σ aggregated weight · min(A, 0) over rollouts, shape (N,).
        old_logprobs: At sampling time, shape (N,).
        ref_logprobs: Under the reference, shape (N,), or None.
        values: The critic's values at sampling time, shape (N,), or None.
        pair_token: Index among the trained tokens of each pair, shape (P,).
        pair_rollout: Rollout of each pair, numbered through the batch, shape (P,).
        pair_weight: Aggregated weight of each pair, shape (P,).
        pair_advantage: Advantage of each pair, shape (P,).
        pair_return: The critic's target for each pair, shape (P,), or None.
        rollouts: Number of rollouts in the batch.
        tokens: Number of real (not padding) tokens in the rows.
        sources: Index of each tree in the list that was packed.
        source_starts: Among the trained tokens, where each tree's begin, shape (trees + 1,).
        source_tokens: Index within its tree of each trained token, shape (N,).
        paths: Places in the flattened rows of the tokens along each rollout, shape (length,) each.
    """

    input_ids: Tensor
    position_ids: Tensor
    enter: Tensor
    exit: Tensor
    trained: Tensor
    predecessor: Tensor
    targets: Tensor
    weight: Tensor
    advantage_pos: Tensor
    advantage_neg: Tensor
    old_logprobs: Tensor
    ref_logprobs: Tensor | None
    values: Tensor | None
    pair_token: Tensor
    pair_rollout: Tensor
    pair_weight: Tensor
    pair_advantage: Tensor
    pair_return: Tensor | None
    rollouts: int
    tokens: int
    sources: tuple[int, ...]
    source_starts: NDArray[np.int64]
    source_tokens: NDArray[np.int64]
    paths: tuple[NDArray[np.int64], ...]

    @property
    def size(self) -> int:
        """Places in the rows, padding included."""
        return self.input_ids.numel()

    def attention_mask(self, window: int | None = None) -> Tensor:
        """What each token sees, bool, shape (R, 1, L, L), True where it sees.

        Args:
            window: Only the last `window` tokens of the path (sliding-window layers); None means all.
        """
        enter, position = self.enter, self.position_ids
        here, there = enter.unsqueeze(2), enter.unsqueeze(1)
        mask = (there <= here) & (here < self.exit.unsqueeze(1))
        length = enter.shape[1]
        mask &= torch.ones(length, length, dtype=torch.bool, device=enter.device).tril()
        if window is not None:
            mask &= position.unsqueeze(2) - position.unsqueeze(1) < window
        return mask.unsqueeze(1)

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same batch on another device."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in moved.items():
            if isinstance(value, Tensor):
                moved[name] = value.to(device, non_blocking=True)
        return TokenBatch(**moved)


def padding_share(batches: Sequence[TokenBatch]) -> float:
    """Share of the places that hold padding, 0 to 1."""
    places = sum(batch.size for batch in batches)
    return 1.0 - sum(batch.tokens for batch in batches) / places if places else 0.0


def unpacked(
    trees: Sequence[TokenTree], batches: Sequence[TokenBatch], values: Sequence[Tensor]
) -> list[NDArray[np.float64]]:
    """What was computed for the trained tokens of batches, laid out along the trees.

    Args:
        trees: What was packed.
        batches: What `pack` gave.
        values: One value for each trained token of each batch, shape (N,).

    Returns:
        For each tree one value for each token, 0 where it is not trained.
    """
    found = [np.zeros(len(tree)) for tree in trees]
    for batch, computed in zip(batches, values, strict=True):
        flat = computed.detach().double().cpu().numpy()
        for place, index in enumerate(batch.sources):
            mine = slice(batch.source_starts[place], batch.source_starts[place + 1])
            found[index][batch.source_tokens[mine]] = flat[mine]
    return found


def pack(
    trees: Sequence[TokenTree],
    token_budget: int,
    *,
    context: int | None = None,
    row_length: int | None = None,
    factors: NDArray[np.float64] | None = None,
    dtype: torch.dtype = torch.float32,
) -> list[TokenBatch]:
    """Pack trees into batches; each tree lies whole in one row, and every tree in exactly one batch.

    Args:
        trees: Any number; those without a trained token are left out.
        token_budget: Largest R·L of a batch, > 0; a longer tree gets a batch of its own.
        context: Largest depth of a token plus 1 (the model's context); None means unlimited.
        row_length: Rows are as long as the longest tree in the batch and at least this; None takes four
            times the mean.
        factors: Aggregation factor of each rollout, tree after tree; None means 1.
        dtype: Of weights, advantages and log-probabilities.

    Raises:
        ToolwiseError: A rollout is longer than the context; names its task.
    """
    lengths = [len(tree) for tree in trees]
    if context is not None:
        for tree, length in zip(trees, lengths, strict=True):
            if length > context and (deepest := int(tree.position_ids.max()) + 1) > context:
                raise ToolwiseError(
                    f"a rollout has {deepest} tokens, the model's context holds {context}",
                    where=f"task {tree.name!r}",
                    mend="shorten the example, or limit rollouts to the context",
                )
    starts = np.concatenate([[0], np.cumsum([len(tree.paths) for tree in trees])]).astype(np.int64)
    todo = [index for index in range(len(trees)) if len(trees[index].pair_token)]
    todo.sort(key=lambda index: -lengths[index])
    batches = []
    while todo:
        rows, todo = _fill(todo, lengths, token_budget, row_length)
        batches.append(_batch(trees, rows, starts, factors, dtype))
    return batches


def _fill(
    order: list[int], lengths: Sequence[int], budget: int, row_length: int | None
) -> tuple[list[list[int]], list[int]]:
    """Best fit, longest first: the rows of one batch, and what did not find room."""
    if row_length is None:
        row_length = TREES_PER_ROW * sum(lengths[index] for index in order) // len(order)
    length = max(lengths[order[0]], min(row_length, budget))
    most = max(1, budget // length)
    rows: list[list[int]] = []
    space: list[tuple[int, int]] = []  # (room left, row), ascending
    left = []
    for index in order:
        place = bisect_left(space, (lengths[index], -1))
        if place < len(space):
            room, row = space.pop(place)
        elif len(rows) < most:
            room, row = length, len(rows)
            rows.append([])
        else:
            left.append(index)
            continue
        rows[row].append(index)
        insort(space, (room - lengths[index], row))
    return rows, left


def _batch(
    trees: Sequence[TokenTree],
    rows: Sequence[Sequence[int]],
    starts: NDArray[np.int64],
    factors: NDArray[np.float64] | None,
    dtype: torch.dtype,
) -> TokenBatch:
    sources = [index for row in rows for index in row]
    chosen = [trees[index] for index in sources]
    sizes = np.array([len(tree) for tree in chosen], dtype=np.int64)
    length = max(sum(len(trees[index]) for index in row) for row in rows)
    # Where each tree begins in the flattened rows, and how far that is from where it begins in the
    # concatenation of all trees.
    bases = np.concatenate([np.cumsum([0, *(len(trees[index]) for index in row[:-1])]) for row in rows])
    bases = bases + np.repeat(np.arange(len(rows)) * length, [len(row) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    shift = np.repeat(bases - offsets, sizes)
    place = np.arange(int(sizes.sum())) + shift
    total = len(rows) * length

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in chosen])

    def rowed(values: NDArray[np.generic], padding: int) -> Tensor:
        spread = np.full(total, padding, dtype=np.int64)
        spread[place] = values
        return torch.from_numpy(spread).view(len(rows), length)

    # Intervals of trees are kept apart by an offset of at least the number of their segments.
    apart = np.repeat(offsets + np.arange(len(chosen)), sizes)
    input_ids = joined("input_ids")

    pairs = np.array([len(tree.pair_token) for tree in chosen])
    token = joined("pair_token") + np.repeat(offsets, pairs)
    rollout = joined("pair_rollout")
    weight = joined("pair_weight").astype(np.float64)
    if factors is not None:
        weight = weight * factors[rollout + np.repeat(starts[sources], pairs)]
    paths = np.array([len(tree.paths) for tree in chosen])
    rollout = rollout + np.repeat(np.cumsum(paths) - paths, pairs)
    advantage = joined("pair_advantage")

    seen = np.zeros(len(input_ids), dtype=bool)
    seen[token] = True
    trained = np.flatnonzero(seen)
    number = np.cumsum(seen) - 1

    def summed(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.bincount(token, values, len(seen))[trained]).to(dtype)

    def whole(name: str) -> Tensor | None:
        if any(getattr(tree, name) is None for tree in chosen):
            return None
        return torch.from_numpy(joined(name)).to(dtype)

    def gathered(name: str) -> Tensor | None:
        values = whole(name)
        return None if values is None else values[torch.from_numpy(trained)]

    old_logprobs = gathered("old_logprobs")
    assert old_logprobs is not None
    return TokenBatch(
        input_ids=rowed(input_ids, 0),
        position_ids=rowed(joined("position_ids"), 0),
        enter=rowed(joined("enter") + apart, -1),
        exit=rowed(joined("exit") + apart, 0),
        trained=torch.from_numpy(place[trained]),
        predecessor=torch.from_numpy(joined("predecessor")[trained] + np.repeat(bases, sizes)[trained]),
        targets=torch.from_numpy(input_ids[trained]),
        weight=summed(weight),
        advantage_pos=summed(weight * np.maximum(advantage, 0.0)),
        advantage_neg=summed(weight * np.minimum(advantage, 0.0)),
        old_logprobs=old_logprobs,
        ref_logprobs=gathered("ref_logprobs"),
        values=gathered("values"),
        pair_token=torch.from_numpy(number[token]),
        pair_rollout=torch.from_numpy(rollout),
        pair_weight=torch.from_numpy(weight).to(dtype),
        pair_advantage=torch.from_numpy(advantage.astype(np.float64)).to(dtype),
        pair_return=whole("pair_return"),
        rollouts=int(paths.sum()),
        tokens=len(input_ids),
        sources=tuple(sources),
        source_starts=np.concatenate([[0], np.searchsorted(trained, offsets[1:]), [len(trained)]]),
        source_tokens=(trained - np.repeat(offsets, sizes)[trained]),
        paths=tuple(
            tree.path_tokens(rollout) + base
            for tree, base in zip(chosen, bases.tolist(), strict=True)
            for rollout in range(len(tree.paths))
        ),
    )
