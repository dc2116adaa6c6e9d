"""Dominating sets: valid, within their bounds, equal by both engines, and by the published three ways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.graph import SentenceGraph, sentence_graph
from toolwise.data.minprompt.selection import degrees, select

MODES = ("cover", "paper", "code")


def neighbours(graph):
    found = []
    for node in range(graph.sentences):
        near = {node}
        for entity in graph.sentence_entities[graph.sentence_start[node] : graph.sentence_start[node + 1]]:
            members = graph.entity_sentences[graph.entity_start[entity] : graph.entity_start[entity + 1]]
            near |= set(members.tolist())
        found.append(near)
    return found


@st.composite
def graphs(draw):
    sentences, entities = draw(st.integers(1, 25)), draw(st.integers(1, 12))
    pairs = draw(
        st.lists(st.tuples(st.integers(0, sentences - 1), st.integers(0, entities - 1)), max_size=60)
    )
    flat = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return SentenceGraph.from_pairs(flat[:, 0], flat[:, 1], (sentences, entities))


def plain_greedy(near, independent):
    """The textbook algorithm: count everything anew before every pick."""
    left, picked = set(range(len(near))), []
    while left:
        able = left if independent else range(len(near))
        best = max(sorted(able), key=lambda node: len(near[node] & left))
        picked.append(best)
        left -= near[best]
    return picked


@given(graphs())
def test_greedy_picks_what_the_textbook_algorithm_picks(graph):
    near = neighbours(graph)
    assert select(graph, "cover").sentences.tolist() == plain_greedy(near, False)
    assert select(graph, "paper").sentences.tolist() == plain_greedy(near, True)


@given(graphs(), st.sampled_from(MODES), st.sampled_from(("keep", "drop")))
def test_sets_dominate_gains_add_up_and_engines_agree(graph, mode, isolated):
    found = select(graph, mode, isolated=isolated, engine="numba")
    near = neighbours(graph)
    wanted = {node for node in range(graph.sentences) if isolated == "keep" or len(near[node]) > 1}
    covered = set().union(*(near[node] for node in found.sentences.tolist()), set())
    assert covered == wanted
    assert int(found.gains.sum()) == len(wanted)
    assert found.isolated == sum(len(one) == 1 for one in near)
    plain = select(graph, mode, isolated=isolated, engine="numpy")
    assert plain.sentences.tolist() == found.sentences.tolist()
    assert plain.gains.tolist() == found.gains.tolist()


@given(graphs())
def test_degrees_are_those_of_the_explicit_graph(graph):
    expected = [len(one) - 1 for one in neighbours(graph)]
    assert degrees(graph, "numba").tolist() == degrees(graph, "numpy").tolist() == expected


@given(graphs())
def test_the_paper_set_is_independent(graph):
    near = neighbours(graph)
    picked = set(select(graph, "paper").sentences.tolist())
    assert all(picked & near[node] == {node} for node in picked)


def test_two_hubs_break_the_bound_that_is_claimed_for_the_paper_and_not_that_of_cover():
    leaves = 200
    edges = [(0, 1)]
    edges += [(0, 2 + leaf) for leaf in range(leaves)] + [(1, 2 + leaves + leaf) for leaf in range(leaves)]
    graph = SentenceGraph.from_edges(2 + 2 * leaves, edges)
    assert len(select(graph, "paper").sentences) == leaves + 1
    cover = select(graph, "cover")
    assert cover.sentences.tolist() == [0, 1]
    assert len(select(graph, "paper").sentences) > 2 * (math.log(leaves + 1) + 2)
    assert cover.bound == pytest.approx(sum(1 / k for k in range(1, leaves + 3)))


def test_an_entity_in_every_sentence_needs_one_sentence_and_can_be_cut():
    graph, keys = sentence_graph([[("one", "CARDINAL"), (str(n // 2), "PERSON")] for n in range(10)])
    assert select(graph).sentences.tolist() == [0]
    cut = graph.without_hubs(9)
    assert len(select(cut).sentences) == 5
    assert keys[0] == ("one", "CARDINAL")
    assert graph.listed_edges == 45 + 5
    assert int(degrees(graph).sum()) // 2 == 45


def test_no_sentences_and_no_entities():
    empty, _ = sentence_graph([])
    assert len(select(empty).sentences) == 0
    bare, _ = sentence_graph([[], []])
    assert select(bare).sentences.tolist() == [0, 1]
    assert len(select(bare, isolated="drop").sentences) == 0


def test_ids_beyond_32_bits_are_refused():
    none = np.array([], dtype=np.int64)
    with pytest.raises(ToolwiseError, match="too many"):
        SentenceGraph.from_pairs(none, none, (2**31, 1))
