"""The rules of BFCL's checker, one by one, on invented items."""

from __future__ import annotations

import random

import pytest
from bfcl_predictions import as_calls, language_of, right_calls
from bfcl_records import BOOK, HOTEL, IRRELEVANT, LIVE, PLOT, RECORDS, RELEVANT, RENDER, STORE

from toolwise.core import Task, ToolCall, ToolwiseError
from toolwise.evaluation.benchmarks import Output, check_calls, score_bfcl


def kind(arguments, answer, document=BOOK, language="python", **options):
    name = document["name"]
    fault = check_calls(
        [document], [ToolCall(name, arguments)], [{name: answer}], language=language, **options
    )
    return None if fault is None else fault.kind


REQUIRED = {"city": "Rio", "nights": 3}


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (REQUIRED, None),
        ({"city": "RIO-DE JANEIRO.", "nights": 3}, None),  # case, blanks and ,./-_*^ do not count
        ({"city": "Rio!", "nights": 3}, "wrong_value"),
        ({"city": "Rio"}, "missing_argument"),
        ({**REQUIRED, "stars": 5}, "unexpected_argument"),
        ({**REQUIRED, "nights": "3"}, "wrong_type"),
        ({**REQUIRED, "nights": 3.0}, "wrong_type"),
        ({**REQUIRED, "nights": True}, "wrong_type"),
        ({**REQUIRED, "price": 100}, None),  # an int may stand for a float …
        ({**REQUIRED, "price": 99.5}, None),
        ({**REQUIRED, "price": "99.5"}, "wrong_type"),
        ({**REQUIRED, "breakfast": 1}, "wrong_type"),
        ({**REQUIRED, "breakfast": False}, "wrong_value"),
        ({**REQUIRED, "guests": ["ana", 'O"Neil, Bo']}, None),
        ({**REQUIRED, "guests": ["Ana"]}, "wrong_value"),
        ({**REQUIRED, "guests": []}, None),  # … and an empty list for "may be missing"
        ({**REQUIRED, "room": {"floor": 4}}, None),
        ({**REQUIRED, "room": {"view": "seaside"}}, "wrong_value"),
        ({**REQUIRED, "room": {"floor": 4, "bed": 2}}, "wrong_value"),
        ({**REQUIRED, "room": "4"}, "wrong_type"),
    ],
)
def test_python_arguments(arguments, expected):
    assert kind(arguments, HOTEL) == expected


def test_an_argument_that_may_not_be_missing():
    answer = {"points": [[1.0]], "corner": [[0.0, 1.0]], "note": ["none"]}
    arguments = {"points": [1.0], "corner": (0.0, 1.0)}
    assert kind(arguments, answer, PLOT) == "missing_optional"
    assert kind({**arguments, "note": "None"}, answer, PLOT) is None


def test_a_variable_stands_for_a_value_of_another_type():
    answer = {"points": ["measured"], "corner": [[0.0, 1.0]]}
    assert kind({"points": "measured", "corner": [0.0, 1.0]}, answer, PLOT) is None
    assert kind({"points": "Measured", "corner": [0.0, 1.0]}, answer, PLOT) == "wrong_value"
    assert kind({"points": [1.0], "corner": [0.0, 1.0]}, answer, PLOT) == "wrong_value"


def test_lists_of_dicts_are_compared_in_order():
    answer = {"points": [[1.0]], "corner": [[0.0]], "series": [[{"x": [1]}, {"x": [2]}]]}
    arguments = {"points": [1.0], "corner": [0.0]}
    assert kind({**arguments, "series": [{"x": 1}, {"x": 2}]}, answer, PLOT) is None
    assert kind({**arguments, "series": [{"x": 2}, {"x": 1}]}, answer, PLOT) == "wrong_value"
    assert kind({**arguments, "series": [{"x": 1}]}, answer, PLOT) == "wrong_value"
    assert kind({**arguments, "series": [1, 2]}, answer, PLOT) == "wrong_type"


@pytest.mark.parametrize(
    "argument, text, expected",
    [
        ("size", "9000000000L", None),
        ("size", "9000000000", "wrong_type"),
        ("size", 9000000000, "wrong_type"),  # Java arguments are literals, as text
        ("ratio", "0.5f", None),
        ("ratio", "0.5", "wrong_type"),
        ("exact", "2.25", None),
        ("fresh", "true", None),
        ("fresh", "True", "wrong_type"),
        ("letter", "z", None),
        ("names", 'new ArrayList<String>(Arrays.asList("Ana", "Bo"))', None),
        ("names", 'new ArrayList<String>() {{ add("Ana"); add("Bo"); }}', None),
        ("names", 'List.of("Ana", "Bo")', "wrong_type"),
        ("numbers", "new int[]{1, 2, 3}", None),
        ("numbers", "new int[]{1, 2}", "wrong_value"),
        (
            "options",
            'new HashMap<String, Object>() {{ put("depth", 3); put("deep", true); put("name", "X-Y"); }}',
            None,
        ),
        ("options", "new HashMap<>()", "wrong_value"),
        ("owner", "currentUser", None),
    ],
)
def test_java_literals(argument, text, expected):
    answer = RECORDS[5]["ground_truth"][0]["Store.save"]
    arguments = {"key": "abc", "count": "12", argument: text}
    assert kind(arguments, answer, STORE, "java") == expected


@pytest.mark.parametrize(
    "argument, text, expected",
    [
        ("title", "'Sea Level'", None),
        ("rows", "new Array(1.5, 2.0)", None),
        ("rows", "measuredRows", None),
        ("rows", "[1.5, 2.0, 3]", "wrong_value"),
        ("rows", "[1.5, x]", "wrong_value"),
        ("big", "123n", None),
        ("big", "123", "wrong_type"),
        ("open", "false", None),
        ("style", "{color: 'red', widths: [1, 2]}", None),
        ("style", "{color: 'blue', widths: [1, 2]}", "wrong_value"),
        ("table", "[[1, 2], [3, 4]]", None),
        ("target", "document.body", None),
    ],
)
def test_javascript_literals(argument, text, expected):
    answer = RECORDS[6]["ground_truth"][0]["render"]
    arguments = {"title": "sea", "rows": "[1.5, 2.0]", argument: text}
    if argument == "rows" and expected is None and "measured" in text:
        answer = {**answer, "rows": ["measuredRows", [1.5, 2.0]]}
    assert kind(arguments, answer, RENDER, "javascript") == expected


def test_names_counts_and_order():
    call, other = ToolCall("hotel.book", REQUIRED), ToolCall("hotel.book", {**REQUIRED, "nights": 4})
    answer = {"hotel.book": HOTEL}
    assert check_calls([BOOK], [], [answer]).kind == "wrong_count"
    assert check_calls([BOOK], [call, call], [answer]).kind == "wrong_count"
    assert check_calls([BOOK], [ToolCall("hotel_book", REQUIRED)], [answer]).kind == "wrong_name"
    underscored = [ToolCall("hotel_book", REQUIRED)]
    assert check_calls([BOOK], underscored, [answer], underscore_names=True) is None
    both = [{"hotel.book": {**HOTEL, "nights": [4]}}, answer]
    assert check_calls([BOOK], [call, other], both, parallel=True) is None
    assert check_calls([BOOK], [other, other], both, parallel=True).kind == "no_match"


def test_an_unknown_type_is_the_items_fault():
    strange = {**BOOK, "parameters": {"properties": {"city": {"type": "Stringy"}}, "required": []}}
    with pytest.raises(ToolwiseError, match="Stringy"):
        check_calls([strange], [ToolCall("hotel.book", {"city": "Rio"})], [{"hotel.book": {"city": ["Rio"]}}])


@pytest.mark.parametrize("record", [*RECORDS, *LIVE], ids=lambda record: record["id"])
def test_right_calls_are_right(record):
    category, rng = record["id"].rpartition("_")[0], random.Random(record["id"])
    if category in ("simple_java", "simple_javascript"):
        return  # their literals can be written in ways that the rules do not read; see the tests above
    calls = right_calls(record["ground_truth"], record["function"], language_of(category), rng)
    assert (
        check_calls(
            record["function"], as_calls(calls), record["ground_truth"], parallel="parallel" in category
        )
        is None
    )


@pytest.mark.parametrize(
    "record, output, right",
    [
        (IRRELEVANT, Output("I cannot help with that."), True),
        (IRRELEVANT, Output("[]"), True),
        (IRRELEVANT, Output(given_calls=()), True),
        (IRRELEVANT, Output("[hotel.book(city='Rio', nights=3)]"), False),
        (IRRELEVANT, Output('<tool_call>\n{"name": "hotel.book", "arguments": {}}\n</tool_call>'), False),
        (RELEVANT, Output("hotel.book(city='Rio')"), True),
        (RELEVANT, Output("Which city?"), False),
    ],
)
def test_when_to_call(record, output, right):
    category = "irrelevance" if record is IRRELEVANT else "live_relevance"
    task = Task(record["id"], (), info={"category": category, "language": "python", "functions": [BOOK]})
    assert score_bfcl(task, output).correct is right
