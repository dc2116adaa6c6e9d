"""The inner loops of selection, compiled by Numba. `plain_kernels` has the same functions in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from toolwise.data.minprompt.graph import Ids, Starts

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    return cast(_Function, numba.njit(cache=True, nogil=True)(function))


@_compiled
def greedy(
    sentence_start: Starts,
    sentence_entities: Ids,
    entity_start: Starts,
    entity_sentences: Ids,
    candidates: NDArray[np.bool_],
    independent: bool,
) -> tuple[Ids, Ids]:
    """Pick the sentence that newly covers most, the lowest id of equals, until all candidates are covered.

    Lazy (Minoux 1978): sentences wait by an upper bound of what they would newly cover, which only shrinks.
    Bounds are walked downwards, and no sentence waits at one that is left behind; so what waits at a bound is
    complete when it is reached, and is sorted by id there: no heap is needed. A sentence's bound is first
    tightened by the number of uncovered sentences of each entity, which costs a few additions; only where
    that does not help it is counted by set union. Entity lists lose their covered sentences whenever they are
    walked.

    Args:
        sentence_start: See `SentenceGraph`.
        sentence_entities: See `SentenceGraph`.
        entity_start: See `SentenceGraph`.
        entity_sentences: See `SentenceGraph`.
        candidates: What is picked from and covered; a neighbour of a candidate must be one, too.
        independent: Covered sentences cannot be picked (the published Algorithm 1) instead of can (cover).

    Returns:
        The picked sentences in order, and how many each newly covered (itself included).
    """
    nodes, entities = len(sentence_start) - 1, len(entity_start) - 1
    # Unsigned, so that no place is looked at for being negative.
    lists, named = entity_sentences.view(np.uint32).copy(), sentence_entities.view(np.uint32)
    length = np.empty(entities, np.int32)
    for entity in range(entities):
        length[entity] = entity_start[entity + 1] - entity_start[entity]
    live = length.copy()
    covered = ~candidates
    seen = np.zeros(nodes, np.int32)
    left, evaluations, bound = 0, 0, 0
    for node in range(nodes):
        left += candidates[node]
    # A chain for each bound: `newest` names its last sentence, `before` the one that stood there.
    newest, before = np.full(left + 1, -1, np.int32), np.empty(nodes, np.int32)
    for node in range(nodes):
        if not candidates[node]:
            continue
        upper = 1
        for place in range(sentence_start[node], sentence_start[node + 1]):
            upper += length[named[place]] - 1
        upper = min(upper, left)
        bound = max(bound, upper)
        before[node] = newest[upper]
        newest[upper] = node
    picked, gains, waiting = np.empty(left, np.int32), np.empty(left, np.int32), np.empty(left, np.int32)
    count = 0
    while left > 0:
        size, following = 0, newest[bound]
        while following >= 0:
            waiting[size] = following
            size += 1
            following = before[following]
        if size > 1:
            waiting[:size].sort()
        for turn in range(size):
            node = waiting[turn]
            own = 0 if covered[node] else 1
            if independent and own == 0:
                continue
            first, last = sentence_start[node], sentence_start[node + 1]
            gain = own
            for place in range(first, last):
                gain += live[named[place]] - own
            if gain >= bound:
                evaluations += 1
                gain = own
                seen[node] = evaluations
                for place in range(first, last):
                    entity = named[place]
                    begin = entity_start[entity]
                    kept = begin
                    for where in range(begin, begin + length[entity]):
                        other = lists[where]
                        if not covered[other]:
                            lists[kept] = other
                            kept += 1
                            if seen[other] != evaluations:
                                seen[other] = evaluations
                                gain += 1
                    length[entity] = kept - begin
            if gain < bound:
                if gain > 0:
                    before[node] = newest[gain]
                    newest[gain] = node
                continue
            picked[count] = node
            gains[count] = bound
            count += 1
            left -= bound
            if own:
                covered[node] = True
                for place in range(first, last):
                    live[named[place]] -= 1
            for place in range(first, last):
                entity = named[place]
                begin = entity_start[entity]
                for where in range(begin, begin + length[entity]):
                    other = lists[where]
                    if not covered[other]:
                        covered[other] = True
                        for near in range(sentence_start[other], sentence_start[other + 1]):
                            live[named[near]] -= 1
                length[entity] = 0
        bound -= 1
    return picked[:count].copy(), gains[:count].copy()


@_compiled
def in_order(
    sentence_start: Starts,
    sentence_entities: Ids,
    entity_start: Starts,
    entity_sentences: Ids,
    candidates: NDArray[np.bool_],
) -> tuple[Ids, Ids]:
    """Pick the uncovered candidate of the lowest id until all are covered; otherwise as `greedy`."""
    nodes = len(sentence_start) - 1
    covered = ~candidates
    walked = np.zeros(len(entity_start) - 1, np.bool_)
    picked, gains = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    count = 0
    for node in range(nodes):
        if covered[node]:
            continue
        covered[node] = True
        gain = 1
        for place in range(sentence_start[node], sentence_start[node + 1]):
            entity = sentence_entities[place]
            if walked[entity]:
                continue
            walked[entity] = True
            for where in range(entity_start[entity], entity_start[entity + 1]):
                other = entity_sentences[where]
                if not covered[other]:
                    covered[other] = True
                    gain += 1
        picked[count] = node
        gains[count] = gain
        count += 1
    return picked[:count].copy(), gains[:count].copy()


@_compiled
def degrees(
    sentence_start: Starts, sentence_entities: Ids, entity_start: Starts, entity_sentences: Ids
) -> Ids:
    """Number of neighbours of each sentence by set union, shape (sentences,)."""
    nodes = len(sentence_start) - 1
    seen = np.full(nodes, -1, np.int32)
    found = np.zeros(nodes, np.int32)
    for node in range(nodes):
        seen[node] = node
        for place in range(sentence_start[node], sentence_start[node + 1]):
            entity = sentence_entities[place]
            for where in range(entity_start[entity], entity_start[entity + 1]):
                other = entity_sentences[where]
                if seen[other] != node:
                    seen[other] = node
                    found[node] += 1
    return found
