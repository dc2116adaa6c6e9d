"""The checker against BFCL's own program, prediction by prediction; skipped where bfcl-eval is absent."""

from __future__ import annotations

import copy
import json
import random

import pytest
from bfcl_official import DOTS, UNDERSCORES, official_module, official_verdict
from bfcl_predictions import as_calls, language_of, right_calls, spoiled
from bfcl_records import RECORDS
from hypothesis import given, settings
from hypothesis import strategies as st

from toolwise.evaluation.benchmarks.bfcl_check import check_calls
from toolwise.evaluation.benchmarks.bfcl_literals import (
    JAVA_TYPES,
    JAVASCRIPT_TYPES,
    java_value,
    javascript_value,
)
from toolwise.evaluation.benchmarks.calls import python_calls

CATEGORIES = (
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
)
KINDS = {
    "wrong_count": "wrong_count",
    "wrong_func_name": "wrong_name",
    "missing_required": "missing_argument",
    "unexpected_param": "unexpected_argument",
    "missing_optional": "missing_optional",
    "cannot_find_match": "no_match",
}


def fault_kind(error_type: str) -> str:
    """Our name for what the official checker names."""
    family, _, kind = error_type.partition(":")
    return KINDS.get(kind) or {"type_error": "wrong_type"}.get(family, "wrong_value")


def disagreements(category: str, functions, answers, predictions: int, seed: str) -> list:
    rng, language, found = random.Random(seed), language_of(category), []
    for number in range(predictions):
        calls = right_calls(answers, functions, language, rng)
        if number % 4:
            calls = spoiled(calls, answers, functions, rng)
        model = UNDERSCORES if number % 3 == 0 else DOTS
        valid, error = official_verdict(
            functions, copy.deepcopy(calls), copy.deepcopy(answers), language, category, model
        )
        if valid is None:
            continue  # the official program ends with an exception
        fault = check_calls(
            functions,
            as_calls(calls),
            answers,
            language=language,
            parallel="parallel" in category,
            underscore_names=model == UNDERSCORES,
        )
        if valid is not (fault is None) or (fault is not None and fault.kind != fault_kind(error)):
            found.append((seed, calls, error, fault))
    return found


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_invented_records(record):
    category = record["id"].rpartition("_")[0]
    assert disagreements(category, record["function"], record["ground_truth"], 400, record["id"]) == []


@pytest.mark.data
@pytest.mark.parametrize("category", CATEGORIES)
def test_published_items(category, shared_dir):
    official_module("constants.enums")
    folder = shared_dir / "data" / "bfcl_v4"
    name = f"BFCL_v4_{category}.json"
    if not (folder / name).is_file():
        pytest.skip("BFCL is not among the data")
    items = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    answers = [json.loads(line) for line in (folder / "possible_answer" / name).read_text().splitlines()]
    found = []
    for item, answer in zip(items, answers, strict=True):
        assert item["id"] == answer["id"]
        found += disagreements(category, item["function"], answer["ground_truth"], 5, item["id"])
    assert found == []


PIECES = st.sampled_from(
    [
        *(
            "new ",
            "ArrayList",
            "<",
            ">",
            "String",
            "(",
            ")",
            "Arrays.asList(",
            "[",
            "]",
            "{",
            "}",
            "{{",
            "}}",
        ),
        *(
            "HashMap<>",
            "put(",
            "add(",
            "Array",
            "[]",
            ";",
            ", ",
            ",",
            ": ",
            ":",
            '"',
            "'",
            "a",
            "key",
            "true",
        ),
        *("false", "1", "-2", "3.5", "1e3", "L", "f", "n", " ", "\n", "new Array(", "int", "null"),
    ]
)
LITERALS = st.lists(PIECES, max_size=12).map("".join)


@given(LITERALS, st.sampled_from(sorted(JAVA_TYPES)), st.sampled_from([None, *sorted(JAVA_TYPES)]))
@settings(max_examples=500)
def test_java_literals(text, kind, items):
    official = official_module("eval_checker.ast_eval.type_convertor.java_type_converter").java_type_converter
    # What the two are called with: a type of elements belongs to lists only.
    nested = items if kind in ("Array", "ArrayList") else None
    assert same(java_value(text, kind, nested), official(text, kind, nested))


@given(
    LITERALS, st.sampled_from(sorted(JAVASCRIPT_TYPES)), st.sampled_from([None, *sorted(JAVASCRIPT_TYPES)])
)
@settings(max_examples=500)
def test_javascript_literals(text, kind, items):
    official = official_module("eval_checker.ast_eval.type_convertor.js_type_converter").js_type_converter
    nested = items if kind == "array" else None
    try:
        expected = official(text, kind, nested)
    except ValueError:
        return  # a line break after a big integer
    assert same(javascript_value(text, kind, nested), expected)


def same(ours, theirs) -> bool:
    return repr(ours) == repr(theirs)


CODE = st.lists(
    st.sampled_from(
        [
            *(
                "f",
                "g.h",
                "(",
                ")",
                "a=",
                "b=",
                ", ",
                "[",
                "]",
                "{",
                "}",
                "'x'",
                '"y"',
                "1",
                "-2",
                "3.5",
                "True",
            ),
            *("None", ":", "'k': ", " + ", " * ", "x", ".", "`", "\n", "'", "[0]", "f(a=1)", "g(b=[1, 2])"),
        ]
    ),
    max_size=10,
).map("".join)


@given(CODE | st.sampled_from(["[f(a=1)]", "f(a=(1, 2)), g.h(b={'k': [1]})", "[f(a=g(b=1), c=h(2))]", "[]"]))
@settings(max_examples=500)
def test_python_calls(text):
    pytest.importorskip("tree_sitter", reason="the decoder of bfcl-eval needs tree_sitter")
    official = official_module("model_handler.utils").default_decode_ast_prompting
    try:
        expected = official(text)
    except Exception:
        expected = None
    found = python_calls(text)
    assert repr(None if found is None else [{call.name: dict(call.arguments)} for call in found]) == repr(
        expected
    )
