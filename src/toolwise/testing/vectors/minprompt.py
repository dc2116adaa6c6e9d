"""Vectors of MinPrompt: dominating sets, sentence graph, sentences, questions, records, scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from toolwise.data.minprompt.graph import SentenceGraph, sentence_graph
from toolwise.data.minprompt.prompts import extract_answer, prompt_source, prompt_target
from toolwise.data.minprompt.published import WH, published_question
from toolwise.data.minprompt.scoring import mrqa_f1
from toolwise.data.minprompt.selection import Isolated, Mode, degrees, select
from toolwise.data.minprompt.sentences import split_sentences
from toolwise.data.minprompt.sources import collapsed, read_questions
from toolwise.rewards.text import exact_match, f1_score
from toolwise.testing.vectors.comparison import Check, check, difference, read_json

TOLERANCE = 1e-6


def set_checks(path: Path) -> Iterator[Check]:
    """Compare ``minprompt_domset.json``: sets are valid, their sizes are possible, bounds and ties agree."""
    content = read_json(path)
    for case in content["graphs"]:
        name = case["name"]
        graph = SentenceGraph.from_edges(case["n_nodes"], [(int(a), int(b)) for a, b in case["edges"]])
        yield check(f"{name}: isolated", _isolated, graph, case)
        for mode in ("paper", "cover"):
            yield check(f"{name}: {mode}", _set, graph, mode, case)
        yield check(f"{name}: bound", _bound, graph, case)
        yield check(f"{name}: code", _code, graph, case)
    example = content["sentence_graph_example"]
    yield check("sentence graph", _example, example)
    for number, case in enumerate(content["sentence_split"]):
        found = [text for _, text in split_sentences(case["context"], "published")]
        yield check(f"split {number}", difference, [found == case["expected_sentences"]], [True], TOLERANCE)


def _neighbours(graph: SentenceGraph, node: int) -> set[int]:
    found = {node}
    for entity in graph.sentence_entities[graph.sentence_start[node] : graph.sentence_start[node + 1]]:
        members = graph.entity_sentences[graph.entity_start[entity] : graph.entity_start[entity + 1]]
        found |= set(members.tolist())
    return found


def _isolated(graph: SentenceGraph, case: Mapping[str, Any]) -> str:
    return difference(np.flatnonzero(~graph.connected()), case["isolated"], TOLERANCE)


def _set(graph: SentenceGraph, mode: Mode, case: Mapping[str, Any]) -> str:
    expected = case["paper_algorithm" if mode == "paper" else "greedy_cover"]
    found = select(graph, mode).sentences.tolist()
    covered = set().union(*(_neighbours(graph, node) for node in found)) if found else set()
    if covered != set(range(graph.sentences)):
        return "does not dominate"
    low, high = expected["size_range_over_ties"]
    if not low <= len(found) <= high:
        return f"size {len(found)}, expected {low} to {high}"
    if mode == "paper" and any(set(found) & (_neighbours(graph, node) - {node}) for node in found):
        return "is not independent"
    return difference(found, expected["lowest_id_ties"], TOLERANCE)


def _bound(graph: SentenceGraph, case: Mapping[str, Any]) -> str:
    selection = select(graph, "cover")
    if selection.at_least > case["minimum_size"]:
        return f"at_least is {selection.at_least}, and {case['minimum_size']} suffice"
    return difference(selection.bound * case["minimum_size"], case["greedy_cover"]["bound"], TOLERANCE)


def _code(graph: SentenceGraph, case: Mapping[str, Any]) -> str:
    found = select(graph, "code", isolated="drop").sentences
    return difference(np.sort(found), case["released_code_library_call"]["without_isolated_nodes"], TOLERANCE)


def _example(case: Mapping[str, Any]) -> str:
    graph, _ = sentence_graph([[tuple(pair) for pair in one["entities"]] for one in case["sentences"]])
    edges = sorted(
        [node, other] for node in range(graph.sentences) for other in _neighbours(graph, node) if other > node
    )
    if edges != sorted(case["expected_edges"]):
        return f"edges {edges}"
    if int(degrees(graph).sum()) != 2 * len(edges):
        return "degrees do not fit the edges"
    isolated: Isolated = "keep"
    ours = {
        "isolated": np.flatnonzero(~graph.connected()),
        "paper_lowest_id": np.sort(select(graph, "paper", isolated=isolated).sentences),
        "cover_lowest_id": np.sort(select(graph, "cover", isolated=isolated).sentences),
    }
    return difference(ours, {name: case[name] for name in ours}, TOLERANCE)


def text_checks(path: Path) -> Iterator[Check]:
    """Compare ``minprompt_text_vectors.json``."""
    content = read_json(path)
    yield check("wh table", difference, dict(WH), content["wh_table"], TOLERANCE)
    for number, case in enumerate(content["question_templates"]):
        yield check(f"question {number}", _question, case)
    yield check("prompt records", _records, content["prompt_records"])
    for number, expected in enumerate(content["augmentation_records"]["expected"]):
        yield check(
            f"augmentation {number}", _augmentation, content["augmentation_records"], number, expected
        )
    for number, case in enumerate(content["answer_extraction"]):
        found = extract_answer(case["text"], "first")
        yield check(f"answer {number}", difference, found, case["expected"], TOLERANCE)
    for number, case in enumerate(content["f1_em"]):
        yield check(f"score {number}", _score, case)


def _question(case: Mapping[str, Any]) -> str:
    given = (case["sentence"], case["answer"], case["label"])
    if WH.get(case["label"], "what") != case["wh"]:
        return f"wh-phrase {WH.get(case['label'], 'what')!r}"
    ours = {
        "expected_wba": published_question(*given, double_mark=True),
        "expected_awb": published_question(*given, template="awb", double_mark=True),
        "expected_wba_single_mark": published_question(*given),
    }
    return difference(ours, {name: case[name] for name in ours}, TOLERANCE)


def _records(case: Mapping[str, Any]) -> str:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "records.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in case["file_lines"]), encoding="utf-8")
        questions, _ = read_questions(file)
    ours = {
        "expected_sources": [prompt_source(one.question, one.context) for one in questions],
        "expected_targets_first_answer": [prompt_target(one.question, one.answers[0]) for one in questions],
        "expected_targets_all_answers": [
            [prompt_target(one.question, answer) for answer in one.answers] for one in questions
        ],
    }
    return next((f"{name}: {found}" for name, found in ours.items() if found != case[name]), "")


def _augmentation(case: Mapping[str, Any], number: int, expected: Mapping[str, Any]) -> str:
    answer, label = case["entities"][number]
    question = published_question(case["sentence"], answer, label, double_mark=True)
    source = prompt_source(question, case["context"], "release")
    target = prompt_target(question, answer, "release")
    ours = {
        "src": source,
        "trg": target,
        "src_after_loader": collapsed(source),
        "trg_after_loader": collapsed(target),
    }
    return difference(ours, expected, TOLERANCE)


def _score(case: Mapping[str, Any]) -> str:
    prediction, golds = case["prediction"], case["golds"]
    exact = float(exact_match(prediction, golds))
    ours = {
        "few_shot_f1": f1_score(prediction, golds),
        "few_shot_em": exact,
        "mrqa_f1": mrqa_f1(prediction, golds),
        "mrqa_em": exact,
    }
    return difference(ours, {name: case[name] for name in ours}, TOLERANCE)
