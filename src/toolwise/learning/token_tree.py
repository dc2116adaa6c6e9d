"""TokenTree: all rollouts of one task as flat arrays in which every token stands once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwise.core import RolloutTree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenTree:
    """The turns of a tree, flattened depth first; N tokens, K segments (turns), P pairs.

    A *pair* is a trained token seen from one rollout: a token that two rollouts share makes two pairs, and
    what it weighs in the loss is the sum over them. The first token of all has nothing to be predicted from
    and makes no pair.

    Attributes:
        name: The task's id, for messages.
        input_ids: Shape (N,).
        position_ids: Depth of the token on its path, shape (N,).
        enter: First moment of the token's segment in the depth-first walk, shape (N,).
        exit: First moment after the segment's subtree, shape (N,). Token i sees token j iff ``j <= i`` and
            ``enter[j] <= enter[i] < exit[j]``.
        predecessor: Index of the previous token on the path, −1 at the root, shape (N,). Token i is predicted
            from the hidden state at ``predecessor[i]``.
        old_logprobs: Log-probability at sampling time, 0 where a token was not sampled, shape (N,).
        paths: The token ranges ``(start, end)`` of each rollout, root first.
        pair_token: Token of each pair, shape (P,).
        pair_rollout: Rollout of each pair, ascending, shape (P,).
        pair_weight: Weight of each pair before aggregation, > 0, shape (P,).
        pair_advantage: Advantage of each pair, not yet weighted, shape (P,).
        ref_logprobs: Log-probability under the reference, shape (N,); None if not computed.
        values: The critic's value at sampling time, shape (N,); None without a critic.
        pair_return: What the critic is trained towards, of each pair: rollouts that share a token may differ,
            shape (P,); None without a critic.
        part: Part of the data that it belongs to (``info.part`` of its task), for losses with weighted parts.
    """

    name: str
    input_ids: Integers
    position_ids: Integers
    enter: Integers
    exit: Integers
    predecessor: Integers
    old_logprobs: Floats
    paths: tuple[tuple[tuple[int, int], ...], ...]
    pair_token: Integers
    pair_rollout: Integers
    pair_weight: Floats
    pair_advantage: Floats
    ref_logprobs: Floats | None = None
    values: Floats | None = None
    pair_return: Floats | None = None
    part: str = ""

    def __len__(self) -> int:
        """Number of tokens, each counted once."""
        return len(self.input_ids)

    @property
    def weight(self) -> Floats:
        """Sum of the pair weights of each token, shape (N,)."""
        return _counted(self.pair_token, self.pair_weight, len(self))

    @property
    def advantage_pos(self) -> Floats:
        """Sum over rollouts of weighted max(A, 0), shape (N,)."""
        return self._summed(np.maximum(self.pair_advantage, 0.0))

    @property
    def advantage_neg(self) -> Floats:
        """Sum over rollouts of weighted min(A, 0), shape (N,)."""
        return self._summed(np.minimum(self.pair_advantage, 0.0))

    @property
    def rollout_weights(self) -> Floats:
        """Sum of the pair weights of each rollout (its trained length), shape (rollouts,)."""
        return _counted(self.pair_rollout, self.pair_weight, len(self.paths))

    def path_tokens(self, rollout: int) -> Integers:
        """Indices of the tokens along one rollout, shape (L,)."""
        return _ranges(self.paths[rollout])

    def along(self, values: Floats) -> list[Floats]:
        """From one value a token, shape (N,), those of the tokens along each rollout, shape (L,) each."""
        return [values[self.path_tokens(rollout)] for rollout in range(len(self.paths))]

    def credited(
        self,
        advantages: Sequence[NDArray[np.floating]],
        returns: Sequence[NDArray[np.floating]] | None = None,
    ) -> TokenTree:
        """The same tree with what its pairs are worth.

        Args:
            advantages: One array for each rollout, shape (L,), values on unsampled tokens are ignored.
            returns: The critic's targets, likewise.

        Raises:
            ValueError: An array has not the length of its rollout.
        """
        return replace(
            self,
            pair_advantage=self._paired("advantages", advantages),
            pair_return=None if returns is None else self._paired("returns", returns),
        )

    def _paired(self, name: str, arrays: Sequence[NDArray[np.floating]]) -> Floats:
        if len(arrays) != len(self.paths):
            raise ValueError(f"{len(arrays)} {name} for {len(self.paths)} rollouts of task {self.name!r}")
        starts = np.searchsorted(self.pair_rollout, np.arange(len(arrays) + 1))
        parts = []
        for rollout, array in enumerate(arrays):
            values = np.asarray(array, dtype=np.float64)
            length = sum(end - start for start, end in self.paths[rollout])
            if values.shape != (length,):
                raise ValueError(f"{name} {values.shape} for a rollout of {length} tokens")
            tokens = self.pair_token[starts[rollout] : starts[rollout + 1]]
            parts.append(values[self.position_ids[tokens]])  # depth is the place along the rollout
        return _joined(parts, np.float64)

    def _summed(self, advantage: Floats) -> Floats:
        return _counted(self.pair_token, self.pair_weight * advantage, len(self))

    @classmethod
    def supervised(cls, tree: RolloutTree) -> TokenTree:
        """A tree to imitate: weights come from the turns, every advantage is 1.

        Args:
            tree: Usually `RolloutTree.demonstration`; sampled trees are imitated turn by turn as well.
        """
        return _build(tree, _flatten(tree, supervised=True), None)

    @classmethod
    def reinforced(
        cls,
        tree: RolloutTree,
        advantages: Sequence[NDArray[np.floating]] | None = None,
        token_weights: Sequence[float | NDArray[np.floating]] | None = None,
    ) -> TokenTree:
        """A tree to learn from by policy gradient; only sampled tokens are trained on.

        Args:
            tree: The rollouts.
            advantages: See `credited`; None where they are not known yet.
            token_weights: For each rollout a factor ≥ 0, or one for each of its tokens, shape (L,);
                0 takes tokens out of the loss and out of its means. Default 1.

        Raises:
            ValueError: An array has not the length of its rollout.
        """
        flat = _build(tree, _flatten(tree, supervised=False), token_weights)
        return flat if advantages is None else flat.credited(advantages)


@dataclass(frozen=True, slots=True)
class _Layout:
    nodes: dict[int, tuple[int, int]]
    arrays: dict[str, NDArray[Any]]
    weight: Floats


def _flatten(tree: RolloutTree, *, supervised: bool) -> _Layout:
    """Lay the turns that some rollout passes through out, depth first."""
    paths = [tree.path(end.leaf) for end in tree.ends]
    used = {node for path in paths for node in path}
    children: dict[int, list[int]] = {}
    for node in sorted(used):
        children.setdefault(tree.parents[node], []).append(node)
    order: list[int] = []
    stack = children.get(-1, [])
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(reversed(children.get(node, ())))

    size = dict.fromkeys(order, 1)
    for node in reversed(order):
        if node:
            size[tree.parents[node]] += size[node]
    lengths = np.array([len(tree.turns[node].token_ids) for node in order], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    nodes: dict[int, tuple[int, int]] = {}
    depth: dict[int, int] = {-1: 0}
    last: dict[int, int] = {-1: -1}  # index of the last token at or above a node
    before = []
    for place, node in enumerate(order):
        start, end = int(starts[place]), int(starts[place + 1])
        parent = tree.parents[node]
        nodes[node] = (start, end)
        before.append(last[parent])
        depth[node] = depth[parent] + end - start
        last[node] = end - 1 if end > start else last[parent]

    total = int(starts[-1])
    enter = np.arange(len(order))
    subtree = np.array([size[node] for node in order], dtype=np.int64)
    origin = np.array([depth[tree.parents[node]] for node in order], dtype=np.int64)
    predecessor = np.arange(-1, total - 1)
    filled = lengths > 0
    predecessor[starts[:-1][filled]] = np.array(before, dtype=np.int64)[filled]
    turns = [tree.turns[node] for node in order]
    weight = [
        turn.supervised_weights if supervised else (float(turn.sampled),) * len(turn.token_ids)
        for turn in turns
    ]
    logprobs = [turn.logprobs if turn.sampled else (0.0,) * len(turn.token_ids) for turn in turns]
    arrays: dict[str, NDArray[Any]] = {
        "input_ids": np.array([token for turn in turns for token in turn.token_ids], dtype=np.int64),
        "position_ids": np.arange(total) + np.repeat(origin - starts[:-1], lengths),
        "enter": np.repeat(enter, lengths),
        "exit": np.repeat(enter + subtree, lengths),
        "predecessor": predecessor,
        "old_logprobs": np.array([value for values in logprobs for value in values], dtype=np.float64),
    }
    return _Layout(
        nodes, arrays, np.array([value for values in weight for value in values], dtype=np.float64)
    )


def _build(
    tree: RolloutTree,
    layout: _Layout,
    token_weights: Sequence[float | NDArray[np.floating]] | None,
) -> TokenTree:
    count = len(tree.ends)
    if token_weights is not None and len(token_weights) != count:
        raise ValueError(f"{len(token_weights)} token_weights for {count} rollouts of task {tree.task.id!r}")
    predictable = layout.arrays["predecessor"] >= 0
    paths, tokens, rollouts, weights = [], [], [], []
    for rollout, end in enumerate(tree.ends):
        ranges = [layout.nodes[node] for node in tree.path(end.leaf)]
        path = tuple((start, stop) for start, stop in ranges if stop > start)
        paths.append(path)
        along = _ranges(path)
        weight = layout.weight[along]
        if token_weights is not None:
            factor = np.asarray(token_weights[rollout], dtype=np.float64)
            if factor.shape not in ((), along.shape):
                raise ValueError(f"token weights {factor.shape} for a rollout of {len(along)} tokens")
            weight = weight * factor
        trained = np.flatnonzero((weight > 0) & predictable[along])
        tokens.append(along[trained])
        rollouts.append(np.full(len(trained), rollout, dtype=np.int64))
        weights.append(weight[trained])
    pair_weight = _joined(weights, np.float64)
    return TokenTree(
        name=tree.task.id,
        part=str(tree.task.info.get("part", "")),
        paths=tuple(paths),
        pair_token=_joined(tokens, np.int64),
        pair_rollout=_joined(rollouts, np.int64),
        pair_weight=pair_weight,
        pair_advantage=np.ones(len(pair_weight)),
        **layout.arrays,
    )


def _ranges(path: Sequence[tuple[int, int]]) -> Integers:
    if len(path) == 1:
        return np.arange(*path[0], dtype=np.int64)
    return _joined([np.arange(start, end) for start, end in path], np.int64)


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    if len(parts) == 1:
        return parts[0].astype(dtype, copy=False)
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype, copy=False)


def _counted(places: Integers, weights: Floats, length: int) -> Floats:
    # Without a single place, bincount forgets its weights and counts in integers.
    return np.bincount(places, weights, length).astype(np.float64, copy=False)
