"""Which sentences to ask about: a dominating set of the sentence graph (MinPrompt, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from toolwise.data.minprompt.graph import Ids, SentenceGraph

Mode = Literal["cover", "paper", "code"]
Isolated = Literal["keep", "drop"]
Engine = Literal["auto", "numba", "numpy"]


@dataclass(frozen=True, slots=True)
class Selection:
    """A dominating set.

    Attributes:
        sentences: The picked ones in the order of picking, shape (K,).
        gains: How many sentences each newly covered, itself included, shape (K,).
        mode: How it was found.
        isolated: Sentences without a neighbour; they are part of the set or left out, as was asked for.
        at_least: No dominating set is smaller; proven for ``cover``, 0 where nothing is known.
        bound: The set is at most so many times as large as the smallest one: H(Δ+1) for ``cover``, where Δ is
            the largest degree (Johnson 1974, Lovász 1975, Chvátal 1979); infinite where nothing is proven.
    """

    sentences: Ids
    gains: Ids
    mode: Mode
    isolated: int
    at_least: int
    bound: float


def select(
    graph: SentenceGraph, mode: Mode = "cover", *, isolated: Isolated = "keep", engine: Engine = "auto"
) -> Selection:
    """Sentences such that every other one shares an entity with one of them.

    Equal choices are decided by the lowest id, so the same graph always gives the same set.

    Args:
        graph: The sentences and their entities.
        mode: ``cover``: pick what newly covers most, covered sentences included; the set is at most
            H(Δ+1) ≤ ln(Δ+1) + 1 times the smallest one. ``paper``: the published Algorithm 1, which picks the
            largest remaining degree and removes it with its neighbours, so that the set is independent; the
            bound
            that is claimed for it does not hold. ``code``: what the release calls, any uncovered sentence
            (networkx ``dominating_set``), here the first one.
        isolated: Whether sentences that share nothing are in the set; the paper's pseudo-code keeps them, the
            release leaves them out.
        engine: ``auto`` takes Numba where it is installed.
    """
    kernels = kernels_of(engine)
    connected = graph.connected()
    candidates = connected if isolated == "drop" or mode == "code" else np.ones(graph.sentences, np.bool_)
    arrays = (graph.sentence_start, graph.sentence_entities, graph.entity_start, graph.entity_sentences)
    if mode == "code":
        picked, gains = kernels.in_order(*arrays, candidates)
    else:
        picked, gains = kernels.greedy(*arrays, candidates, mode == "paper")
    alone = np.flatnonzero(~connected).astype(np.int32)
    if mode == "code" and isolated == "keep":
        picked = np.concatenate([picked, alone])
        gains = np.concatenate([gains, np.ones(len(alone), np.int32)])
    bound, at_least = np.inf, 0
    if mode == "cover":
        # The first pick has the largest closed neighbourhood.
        bound = float((1.0 / np.arange(1, gains[0] + 1)).sum()) if len(gains) else 1.0
        at_least = int(np.ceil(len(picked) / bound - 1e-9))
    return Selection(picked, gains, mode, len(alone), at_least, bound)


def degrees(graph: SentenceGraph, engine: Engine = "auto") -> Ids:
    """Number of neighbours of each sentence, shape (sentences,); takes a walk over twice the edges."""
    found: Ids = kernels_of(engine).degrees(
        graph.sentence_start, graph.sentence_entities, graph.entity_start, graph.entity_sentences
    )
    return found


def kernels_of(engine: Engine) -> Any:
    """The module with the inner loops.

    Raises:
        ToolwiseError: Numba is asked for and not installed.
    """
    if engine == "numpy" or (engine == "auto" and find_spec("numba") is None):
        from toolwise.data.minprompt import plain_kernels

        return plain_kernels
    from toolwise.data.minprompt.extras import need

    need("numba", "minprompt", "choose engine numpy")
    from toolwise.data.minprompt import kernels

    return kernels
