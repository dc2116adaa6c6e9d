"""How paths are laid out for attention: in groups of similar lengths, and in runs that several share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BUCKET = 64
"""Lengths that round up to the same multiple of this are computed together."""
LEAST_SHARED = 64
"""Shorter shared runs are gathered for each path: computing them apart costs more than it saves."""


@dataclass(frozen=True, slots=True)
class PathGroup:
    """P paths of similar lengths; places are indices into the flattened rows.

    Attributes:
        queries: Places of the tokens that ask, 0 on padding, shape (P, Lq).
        slots: Which of them, flattened, are the paths' own tokens, shape (Q,).
        own: Places of those, shape (Q,).
        keys: Places of the tokens of each path, 0 on padding, shape (P, Lk).
        mask: Which of them each query sees, bool, shape (P, 1, Lq, Lk); None where query i sees keys 0 … i.
    """

    queries: Tensor
    slots: Tensor
    own: Tensor
    keys: Tensor
    mask: Tensor | None

    def to(self, device: torch.device | str) -> PathGroup:
        """The same on another device."""
        queries, slots, own, keys = (
            part.to(device, non_blocking=True) for part in (self.queries, self.slots, self.own, self.keys)
        )
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return PathGroup(queries, slots, own, keys, mask)

    def scored(self, dtype: torch.dtype) -> PathGroup:
        """The same with a mask that is added to the scores, so that no layer has to convert it again."""
        if self.mask is None:
            return self
        added = torch.zeros_like(self.mask, dtype=dtype).masked_fill_(~self.mask, -torch.inf)
        return replace(self, mask=added)


@dataclass(frozen=True, slots=True)
class SharedRun:
    """K tokens that M later ones see whole: those of every rollout that goes on from them.

    Attributes:
        keys: Their places in the flattened rows, shape (K,).
        queries: Places of the tokens that see them, shape (M,).
    """

    keys: Tensor
    queries: Tensor

    def to(self, device: torch.device | str) -> SharedRun:
        """The same on another device."""
        return SharedRun(self.keys.to(device, non_blocking=True), self.queries.to(device, non_blocking=True))


def cut_paths(
    paths: Sequence[NDArray[np.int64]],
) -> tuple[list[NDArray[np.int64]], list[SharedRun]]:
    """Cut long runs of tokens that several rollouts share off the beginnings of paths.

    Args:
        paths: Places of the tokens of each rollout, root first.

    Returns:
        What is left to be computed as paths (each run itself, which sees nothing before it but runs, and the
        rest of each path), and the runs. Each token sees the tokens before it in one of the former, and all
        of each run that it is named in.
    """
    rests: list[NDArray[np.int64]] = []
    shared: list[SharedRun] = []
    todo = [(list(family), 0) for family in _families(paths, 0)]
    todo.reverse()
    while todo:
        family, begin = todo.pop()
        common = _common(family, begin)
        if len(family) == 1 or common - begin < LEAST_SHARED:
            rests += [path[begin:] for path in family]
            continue
        run = family[0][begin:common]
        rests.append(run)
        later = list(dict.fromkeys(place for path in family for place in path[common:].tolist()))
        if later:
            shared.append(SharedRun(torch.from_numpy(run), torch.tensor(later, dtype=torch.int64)))
        todo += [(each, common) for each in reversed(_families(family, common))]
    return rests, shared


def _families(paths: Sequence[NDArray[np.int64]], depth: int) -> list[list[NDArray[np.int64]]]:
    """Paths by their token at a depth; those that end before it are left out."""
    found: dict[int, list[NDArray[np.int64]]] = {}
    for path in paths:
        if len(path) > depth:
            found.setdefault(int(path[depth]), []).append(path)
    return list(found.values())


def _common(paths: Sequence[NDArray[np.int64]], begin: int) -> int:
    """Depth down to which all paths are the same, given that they are before `begin`."""
    common = min(len(path) for path in paths)
    for path in paths[1:]:
        differs = path[begin:common] != paths[0][begin:common]
        if differs.any():
            common = begin + int(differs.argmax())
    return common


def path_groups(paths: Sequence[NDArray[np.int64]]) -> tuple[PathGroup, ...]:
    """Group paths by their lengths and by how many tokens are their own.

    Args:
        paths: Places of the tokens of each rollout, root first; rollouts of one tree stand together.
    """
    seen = np.zeros(1 + max((int(path.max()) for path in paths), default=0), dtype=bool)
    buckets: dict[tuple[int, int], list[tuple[NDArray[np.int64], int]]] = {}
    for path in paths:
        # What a path shares with earlier ones is a prefix of it.
        shared = int(np.count_nonzero(seen[path]))
        own = len(path) - shared
        if not own:
            continue
        seen[path[shared:]] = True
        # Asking for the shared tokens again is cheaper than a mask where they are the smaller part: causal
        # attention computes half a square, a mask the whole rectangle.
        asked = 0 if 2 * own > len(path) else -(-own // BUCKET)
        buckets.setdefault((-(-len(path) // BUCKET), asked), []).append((path, shared))
    return tuple(_group(members, causal=not asked) for (_, asked), members in sorted(buckets.items()))


def _group(members: Sequence[tuple[NDArray[np.int64], int]], *, causal: bool) -> PathGroup:
    longest = max(len(path) for path, _ in members)
    begins = [0 if causal else shared for _, shared in members]
    widest = max(len(path) - begin for (path, _), begin in zip(members, begins, strict=True))
    keys = np.zeros((len(members), longest), dtype=np.int64)
    queries = np.zeros((len(members), widest), dtype=np.int64)
    depth = np.zeros((len(members), widest), dtype=np.int64)
    own, slots = [], []
    for number, ((path, shared), begin) in enumerate(zip(members, begins, strict=True)):
        asked = len(path) - begin
        keys[number, : len(path)] = path
        queries[number, :asked] = path[begin:]
        depth[number, :asked] = np.arange(begin, len(path))
        own.append(path[shared:])
        slots.append(number * widest + np.arange(shared - begin, asked))
    mask = None if causal else torch.from_numpy(np.arange(longest) <= depth[:, None, :, None])
    return PathGroup(
        torch.from_numpy(queries),
        torch.from_numpy(np.concatenate(slots)),
        torch.from_numpy(np.concatenate(own)),
        torch.from_numpy(keys),
        mask,
    )


def gathered(flat: Tensor, places: Tensor) -> Tensor:
    """From (N, heads, size) those at places (P, L), shape (P, heads, L, size)."""
    found = flat.index_select(0, places.flatten())
    return found.view(*places.shape, *flat.shape[1:]).transpose(1, 2)
