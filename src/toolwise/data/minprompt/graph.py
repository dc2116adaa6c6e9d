"""The sentence graph of MinPrompt (arXiv 2310.05007, section 3), kept as an incidence and never as edges."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolwise.core import ToolwiseError

Ids = NDArray[np.int32]
Starts = NDArray[np.int64]
LARGEST = 2**31 - 2
"""Most sentences, and most entities: ids have 32 bits."""


@dataclass(frozen=True, slots=True)
class SentenceGraph:
    """Which sentence names which entity: two sentences are neighbours if they share an entity.

    A graph of a million edges an entity is a list of a thousand sentences here. Both directions are CSR.

    Attributes:
        sentence_start: Where each sentence's entities begin, shape (sentences + 1,).
        sentence_entities: The entities of the sentences, each once and ascending, shape (mentions,).
        entity_start: Where each entity's sentences begin, shape (entities + 1,).
        entity_sentences: The sentences of the entities, ascending, shape (mentions,).
    """

    sentence_start: Starts
    sentence_entities: Ids
    entity_start: Starts
    entity_sentences: Ids

    @classmethod
    def from_pairs(
        cls, sentences: NDArray[Any], entities: NDArray[Any], shape: tuple[int, int]
    ) -> SentenceGraph:
        """From one (sentence, entity) pair a mention; pairs that stand twice count once.

        Args:
            sentences: Shape (mentions,), each in [0, shape[0]).
            entities: Shape (mentions,), each in [0, shape[1]).
            shape: Number of sentences and of entities.

        Raises:
            ToolwiseError: There are more than ids of 32 bits can tell apart.
        """
        from scipy.sparse import coo_array

        if max(shape) > LARGEST:
            raise ToolwiseError(f"{max(shape):,} are too many for one graph", mend="select shard by shard")
        ones = np.ones(len(sentences), dtype=np.bool_)
        pairs = coo_array((ones, (sentences, entities)), shape=(max(shape[0], 1), max(shape[1], 1)))
        rows = pairs.tocsr()
        rows.sum_duplicates()
        columns = rows.T.tocsr()
        return cls(
            rows.indptr[: shape[0] + 1].astype(np.int64),
            rows.indices.astype(np.int32, copy=False),
            columns.indptr[: shape[1] + 1].astype(np.int64),
            columns.indices.astype(np.int32, copy=False),
        )

    @classmethod
    def from_edges(cls, nodes: int, edges: Iterable[tuple[int, int]]) -> SentenceGraph:
        """A given graph: every edge is an entity of its own; edges from a node to itself are no edges."""
        pairs = [(a, b) for a, b in edges if a != b]
        flat = np.array(pairs, dtype=np.int64).reshape(-1)
        return cls.from_pairs(flat, np.repeat(np.arange(len(pairs)), 2), (nodes, len(pairs)))

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return len(self.sentence_start) - 1

    @property
    def entities(self) -> int:
        """Number of entities."""
        return len(self.entity_start) - 1

    @property
    def occurrences(self) -> Starts:
        """In how many sentences each entity stands, shape (entities,)."""
        return np.diff(self.entity_start)

    @property
    def listed_edges(self) -> int:
        """Pairs of sentences counted once for each entity that they share, as the release lists them."""
        counts = self.occurrences
        return int((counts * (counts - 1) // 2).sum())

    def connected(self) -> NDArray[np.bool_]:
        """Which sentences have a neighbour, shape (sentences,)."""
        shared = self.occurrences > 1
        sums = np.concatenate([[0], np.cumsum(shared[self.sentence_entities])])
        return np.asarray(sums[self.sentence_start[1:]] > sums[self.sentence_start[:-1]])

    def without_hubs(self, limit: int) -> SentenceGraph:
        """The same graph in which entities of more than `limit` sentences connect nothing.

        Args:
            limit: ≥ 1.
        """
        keep = self.occurrences <= limit
        owner = np.repeat(np.arange(self.sentences), np.diff(self.sentence_start))
        kept = keep[self.sentence_entities]
        return self.from_pairs(owner[kept], self.sentence_entities[kept], (self.sentences, self.entities))


def sentence_graph(
    entities: Iterable[Sequence[Hashable]],
) -> tuple[SentenceGraph, list[Hashable]]:
    """The graph of sentences from the entities of each, and the entities in the order of their ids.

    Args:
        entities: For each sentence its entities; equal ones connect. The release's key is the exact pair of
            surface and label.
    """
    ids: dict[Hashable, int] = {}
    sentences: list[int] = []
    found: list[int] = []
    count = 0
    for count, keys in enumerate(entities, start=1):
        for key in keys:
            sentences.append(count - 1)
            found.append(ids.setdefault(key, len(ids)))
    graph = SentenceGraph.from_pairs(
        np.array(sentences, np.int64), np.array(found, np.int64), (count, len(ids))
    )
    return graph, list(ids)
