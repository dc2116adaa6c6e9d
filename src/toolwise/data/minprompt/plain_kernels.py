"""The functions of `kernels` in NumPy, for where Numba is not installed: equal results, only slower."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from toolwise.data.minprompt.graph import Ids, Starts


def greedy(
    sentence_start: Starts,
    sentence_entities: Ids,
    entity_start: Starts,
    entity_sentences: Ids,
    candidates: NDArray[np.bool_],
    independent: bool,
) -> tuple[Ids, Ids]:
    """See `kernels.greedy`."""
    nodes = len(sentence_start) - 1
    live = np.diff(entity_start)
    lists: dict[int, NDArray[np.int32]] = {}
    covered = ~candidates
    owner = np.repeat(np.arange(nodes), np.diff(sentence_start))
    bounds = 1 + np.bincount(owner, live[sentence_entities] - 1, nodes).astype(np.int64)
    heap = [(-int(bounds[node]), int(node)) for node in np.flatnonzero(candidates)]
    heapq.heapify(heap)
    left = len(heap)
    mark = np.zeros(nodes, np.int64)
    counted_at: dict[int, int] = {}
    picked: list[int] = []
    gains: list[int] = []

    def around(node: int) -> NDArray[np.int32]:
        """The uncovered sentences in the closed neighbourhood, each once."""
        parts = [np.array([] if covered[node] else [node], np.int32)]
        for entity in sentence_entities[sentence_start[node] : sentence_start[node + 1]].tolist():
            known = lists.get(entity)
            if known is None:
                known = entity_sentences[entity_start[entity] : entity_start[entity + 1]]
            if len(known) != live[entity]:
                known = known[~covered[known]]
            lists[entity] = known
            parts.append(known)
        together = np.concatenate(parts)
        places = np.arange(len(together))
        mark[together] = places
        once: NDArray[np.int32] = together[mark[together] == places]
        return once

    while left:
        bound, node = -heap[0][0], heap[0][1]
        own = not covered[node]
        if independent and not own:
            heapq.heappop(heap)
            continue
        entities = sentence_entities[sentence_start[node] : sentence_start[node + 1]]
        if counted_at.get(node) != len(picked):
            gain = int(own) + int((live[entities] - own).sum())
            if gain >= bound:
                gain = len(around(node))
                counted_at[node] = len(picked)
            if gain < bound:
                if gain:
                    heapq.heapreplace(heap, (-gain, node))
                else:
                    heapq.heappop(heap)
                continue
        heapq.heappop(heap)
        new = around(node)
        picked.append(node)
        gains.append(len(new))
        left -= len(new)
        covered[new] = True
        lengths = sentence_start[new + 1] - sentence_start[new]
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) + np.repeat(sentence_start[new] - (ends - lengths), lengths)
        np.subtract.at(live, sentence_entities[places], 1)
    return np.array(picked, np.int32), np.array(gains, np.int32)


def in_order(
    sentence_start: Starts,
    sentence_entities: Ids,
    entity_start: Starts,
    entity_sentences: Ids,
    candidates: NDArray[np.bool_],
) -> tuple[Ids, Ids]:
    """See `kernels.in_order`."""
    covered = ~candidates
    walked: set[int] = set()
    picked, gains = [], []
    for node in np.flatnonzero(candidates).tolist():
        if covered[node]:
            continue
        covered[node] = True
        gain = 1
        for entity in sentence_entities[sentence_start[node] : sentence_start[node + 1]].tolist():
            if entity not in walked:
                walked.add(entity)
                others = entity_sentences[entity_start[entity] : entity_start[entity + 1]]
                gain += int((~covered[others]).sum())
                covered[others] = True
        picked.append(node)
        gains.append(gain)
    return np.array(picked, np.int32), np.array(gains, np.int32)


def degrees(
    sentence_start: Starts, sentence_entities: Ids, entity_start: Starts, entity_sentences: Ids
) -> Ids:
    """See `kernels.degrees`."""
    nodes = len(sentence_start) - 1
    mark = np.zeros(nodes, np.int64)
    found = np.zeros(nodes, np.int32)
    for node in range(nodes):
        entities = sentence_entities[sentence_start[node] : sentence_start[node + 1]].tolist()
        if entities:
            parts = [entity_sentences[entity_start[entity] : entity_start[entity + 1]] for entity in entities]
            together = np.concatenate(parts)
            places = np.arange(len(together))
            mark[together] = places
            found[node] = int((mark[together] == places).sum()) - 1
    return found
