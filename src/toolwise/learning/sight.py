"""Sight: who attends to whom along the paths of token trees, as work for attention kernels.

Places are indices into the flattened rows of a batch, queries are numbered in the order of their places. A
*piece* is what is left of a rollout's path once the stems before it are cut off; pieces of similar lengths
are computed together. A *stem* is a run of tokens that many others see in full, so that no mask is needed
and each of its keys is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Places = NDArray[np.int64]
BUCKET = 64
"""Lengths that round up to the same multiple of this are computed together."""
STEM_KEYS, STEM_PAIRS = 32, 1 << 16
"""Smaller stems are not worth a call of their own."""
TRIMMED = 0.25
"""The last layer does all where less than this share of the tokens need not ask."""


@dataclass(frozen=True, slots=True)
class PathGroup:
    """P pieces of similar lengths.

    Attributes:
        queries: Those that ask, 0 on padding, shape (P, Lq).
        slots: Which of them, flattened, are the pieces' own, shape (Q,).
        own: Those queries, shape (Q,).
        keys: Places of the tokens of each piece, 0 on padding, shape (P, Lk).
        mask: Added to the scores, 0 where a query sees a key and −inf elsewhere, so that no layer has to
            convert it, shape (P, 1, Lq, Lk); None where query i sees keys 0 … i.
        run: First query and first place where all stand one after the other and none is padding, so that
            nothing has to be copied; else None.
    """

    queries: Tensor
    slots: Tensor
    own: Tensor
    keys: Tensor
    mask: Tensor | None
    run: tuple[int, int] | None

    def to(self, device: torch.device | str) -> PathGroup:
        """The same on another device."""
        queries, slots, own, keys = (
            part.to(device, non_blocking=True) for part in (self.queries, self.slots, self.own, self.keys)
        )
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return PathGroup(queries, slots, own, keys, mask, self.run)

    def asking(self, flat: Tensor) -> Tensor:
        """Of all queries (Q, …) those that ask, shape (P, …, Lq, size)."""
        return _gathered(flat, self.queries, None if self.run is None else self.run[0])

    def seen(self, flat: Tensor) -> Tensor:
        """Of all places (N, …) those of the pieces, shape (P, …, Lk, size)."""
        return _gathered(flat, self.keys, None if self.run is None else self.run[1])

    def own_of(self, flat: Tensor, elsewhere: float) -> Tensor:
        """Like `asking`, with a number in place of all that is not a piece's own."""
        if self.run is not None:
            return self.asking(flat)
        spread = flat.new_full((self.queries.numel(), *flat.shape[1:]), elsewhere)
        spread.index_copy_(0, self.slots, flat.index_select(0, self.own))
        return spread.view(*self.queries.shape, *flat.shape[1:]).transpose(1, 2)

    def own_from(self, found: Tensor) -> Tensor:
        """Of something for those that ask (P, heads, Lq, …) what is the pieces' own, shape (Q, heads, …)."""
        rows = found.transpose(1, 2).flatten(0, 1)
        return rows if self.run is not None else rows.index_select(0, self.slots)

    def put(self, flat: Tensor, found: Tensor) -> None:
        """Write what was found for those that ask to all queries, in place."""
        if self.run is None:
            flat.index_copy_(0, self.own, self.own_from(found))
        else:
            self.asking(flat).copy_(found)

    def add_seen(self, flat: Tensor, found: Tensor) -> None:
        """Add what was found for the places of the pieces to that of all places, in place."""
        if self.run is None:
            flat.index_add_(0, self.keys.flatten(), found.transpose(1, 2).flatten(0, 1))
        else:
            self.seen(flat).add_(found)


def _gathered(flat: Tensor, places: Tensor, begin: int | None) -> Tensor:
    """From (N, heads, …) those at places (P, L), or of as many from `begin` on, shape (P, heads, L, …)."""
    if begin is None:
        found = flat.index_select(0, places.flatten())
    else:
        found = flat[begin : begin + places.numel()]
    return found.view(*places.shape, *flat.shape[1:]).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Stem:
    """Tokens that all of a range of queries see.

    Attributes:
        keys: Places from … up to.
        queries: Queries from … up to.
    """

    keys: tuple[int, int]
    queries: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Apart:
    """Keys and values of tokens that ask nothing, computed beforehand.

    Attributes:
        key: Shape (M, key heads, head size).
        value: Likewise.
        order: For each place the index of its token among those that ask, followed by those that do not.
    """

    key: Tensor
    value: Tensor
    order: Tensor

    def ordered(self, asking: Tensor, others: Tensor) -> Tensor:
        """Both in the order of their places."""
        return torch.cat([asking, others.to(asking.dtype)]).index_select(0, self.order)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the last layer has to compute: few tokens give logits, the others only keys and values.

    Attributes:
        places: Of the tokens whose hidden states are wanted, ascending, shape (n,).
        others: Of the rest that somebody sees, shape (m,).
        order: See `Apart`.
        sight: Who of the first attends to whom.
    """

    places: Tensor
    others: Tensor
    order: Tensor
    sight: Sight


@dataclass(frozen=True, slots=True)
class Sight:
    """Who attends to whom.

    Attributes:
        groups: Pieces of paths.
        stems: What many of their queries see besides; each query's own token is in a piece.
        last: What is left to do in the last layer; None: all.
        apart: See `Apart`.
    """

    groups: tuple[PathGroup, ...]
    stems: tuple[Stem, ...] = ()
    last: Asked | None = None
    apart: Apart | None = None


def sight_along(
    paths: Sequence[Places],
    size: int,
    *,
    asked: Places | None = None,
    stems: bool = False,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Sight:
    """What the layers of a model have to compute.

    Args:
        paths: Places of the tokens of each rollout, root first; rollouts of one tree stand together, and a
            tree's tokens stand depth first.
        size: Number of places.
        asked: Places of the tokens whose last hidden states are wanted; None: all of them.
        stems: Cut off what many tokens share.
        device: Of the tensors.
        dtype: Of the masks.
    """
    cut, pieces = _cut(paths) if stems else ([], list(paths))

    def of(queries: Places) -> Sight:
        """What the tokens at these places, ascending, have to compute."""
        index = np.full(size, -1)
        index[queries] = np.arange(len(queries))
        found = [
            Stem((begin, end), (int(first), int(last)))
            for begin, end, until in cut
            for first, last in [np.searchsorted(queries, [end, until])]
            if first < last
        ]
        return Sight(tuple(group.to(device) for group in _groups(pieces, index, dtype)), tuple(found))

    whole = of(np.arange(size))
    if asked is None:
        return whole
    used = np.zeros(size, dtype=bool)
    for path in paths:
        used[path] = True
    asked = np.unique(asked)
    used[asked] = False
    others = np.flatnonzero(used)
    if len(others) <= TRIMMED * (len(asked) + len(others)):
        return whole
    order = np.zeros(size, dtype=np.int64)
    order[asked] = np.arange(len(asked))
    order[others] = len(asked) + np.arange(len(others))
    places, rest, ordered = (torch.from_numpy(part).to(device) for part in (asked, others, order))
    return replace(whole, last=Asked(places, rest, ordered, of(asked)))


def _cut(paths: Sequence[Places]) -> tuple[list[tuple[int, int, int]], list[Places]]:
    """Stems ``(begin, end, until)``: tokens ``end … until`` see those at ``begin … end``; and the pieces."""
    stems: list[tuple[int, int, int]] = []
    pieces: list[Places] = []
    todo = [(members, 0) for members in _split(paths, 0)]
    while todo:
        members, begin = todo.pop()
        first = members[0]
        common = min(_shared(first, path) for path in members)
        until = 1 + max(int(path[-1]) for path in members)
        end = int(first[common - 1]) + 1 if common else 0
        keys = common - begin
        if (
            len(members) > 1
            and keys >= STEM_KEYS
            and keys * (until - end) >= STEM_PAIRS
            and end - int(first[begin]) == keys
        ):
            stems.append((end - keys, end, until))
            pieces.append(first[begin:common])
            todo.extend((part, common) for part in _split(members, common))
        else:
            pieces.extend(path[begin:] for path in members)
    # In the order of their places, so that neighbours of one length need not be gathered.
    return stems, sorted(pieces, key=lambda piece: int(piece[0]))


def _split(paths: Sequence[Places], at: int) -> Iterator[list[Places]]:
    """Paths by their token at an index; those that have none there are left out."""
    found: dict[int, list[Places]] = {}
    for path in paths:
        if len(path) > at:
            found.setdefault(int(path[at]), []).append(path)
    yield from found.values()


def _shared(one: Places, other: Places) -> int:
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length


def _groups(pieces: Sequence[Places], index: Places, dtype: torch.dtype) -> list[PathGroup]:
    """Group pieces by their lengths and by how many queries are their own.

    Args:
        pieces: Places.
        index: Number of the query at each place; negative: none is asked there.
        dtype: Of the masks.
    """
    seen = np.zeros(len(index), dtype=bool)
    buckets: dict[tuple[int, int], list[tuple[Places, Places, bool]]] = {}
    for piece in pieces:
        # What a piece shares with earlier ones is a prefix of it.
        shared = int(np.count_nonzero(seen[piece]))
        own = shared + np.flatnonzero(index[piece[shared:]] >= 0)
        seen[piece[shared:]] = True
        if not len(own):
            continue
        piece = piece[: own[-1] + 1]
        # Asking for the shared tokens again is cheaper than a mask where they are the smaller part: causal
        # attention computes half a square, a mask the whole rectangle.
        causal = 2 * len(own) > len(piece) and bool((index[piece] >= 0).all())
        key = -(-len(piece) // BUCKET), 0 if causal else -(-len(own) // BUCKET)
        buckets.setdefault(key, []).append((piece, own, causal))
    return [_group(buckets[key], index, dtype) for key in sorted(buckets)]


def _group(members: Sequence[tuple[Places, Places, bool]], index: Places, dtype: torch.dtype) -> PathGroup:
    causal = members[0][2]
    longest = max(len(piece) for piece, _, _ in members)
    widest = longest if causal else max(len(own) for _, own, _ in members)
    keys = np.zeros((len(members), longest), dtype=np.int64)
    queries = np.zeros((len(members), widest), dtype=np.int64)
    depth = np.zeros((len(members), widest), dtype=np.int64)
    mine, slots = [], []
    for number, (piece, own, _) in enumerate(members):
        asking = np.arange(len(piece)) if causal else own
        keys[number, : len(piece)] = piece
        queries[number, : len(asking)] = index[piece[asking]]
        depth[number, : len(asking)] = asking
        mine.append(index[piece[own]])
        slots.append(number * widest + (own if causal else np.arange(len(own))))
    mask = None
    if not causal:
        hidden = torch.from_numpy(np.arange(longest) > depth[:, None, :, None])
        mask = torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, -torch.inf)
    all_slots = np.concatenate(slots)
    run = None
    if _in_line(queries) and _in_line(keys) and len(all_slots) == queries.size:
        run = int(queries[0, 0]), int(keys[0, 0])
    return PathGroup(
        torch.from_numpy(queries),
        torch.from_numpy(all_slots),
        torch.from_numpy(np.concatenate(mine)),
        torch.from_numpy(keys),
        mask,
        run,
    )


def _in_line(places: Places) -> bool:
    return bool((np.diff(places.ravel()) == 1).all())
