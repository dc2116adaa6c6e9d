"""Outputs: calls in texts and records, and what a predictions file may hold."""

from __future__ import annotations

import pytest

from toolwise.core import ErrorKind, ToolCall, ToolwiseError
from toolwise.evaluation.benchmarks import Output
from toolwise.evaluation.benchmarks.calls import argument_texts, python_calls

CALL = ToolCall("f", {"a": 1})


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>',
        '<think>[g(b=2)]</think>\n<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call><|im_end|>',
        '<tool_call>\n{"name": "f", "arguments": {"a": 1}}',
        '[{"name": "f", "arguments": {"a": 1}}]',
        '```json\n{"name": "f", "arguments": {"a": 1}}\n```',
        '[{"f": {"a": 1}}]',
        "[f(a=1)]",
        "f(a=1)",
        "`[f(a=1)]`",
    ],
)
def test_one_call_in_a_text(text):
    assert Output(text).calls == (CALL,)


def test_several_calls_in_a_text():
    line = '{"name": "f", "parameters": {"a": 1}}'
    lines = f"<tool_call>\n{line}\n{line}\n</tool_call>"
    assert Output(lines).calls == (CALL, CALL)
    tags = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>' * 2
    assert Output(tags).calls == (CALL, CALL)
    assert Output("[f(a=1), f(a=1)]").calls == (CALL, CALL)


@pytest.mark.parametrize("text", ["hello", "I would call f(a=1).", "{}x", "[1, 2]", "f(**x)", "(" * 5000])
def test_no_call_in_a_text(text):
    assert Output(text).readable_calls is None


def test_an_empty_list_is_no_call_but_can_be_read():
    assert Output("[]").calls == Output("").calls == ()


def test_a_broken_call_is_a_call_that_cannot_be_read():
    output = Output('<tool_call>\n{"name": "f", "arguments": {"a": \n</tool_call>')
    assert output.calls[0].error is ErrorKind.MALFORMED_CALL
    assert output.readable_calls is None


def test_python_values_are_read_and_not_run():
    text = "[g.h(a=[1, -2.5], b=(True, None), c={'k': x}, d=1 + 2 * 3, e=k(), f=k(v=1), g=x[0])]"
    (call,) = python_calls(text)
    assert call.name == "g.h"
    assert call.arguments == {
        "a": [1, -2.5],
        "b": (True, None),
        "c": {"k": "x"},
        "d": 7,
        "e": "k()",
        "f": {"k": {"v": 1}},
        "g": "x[0]",
    }
    assert python_calls("[f(a=9 ** 9 ** 9)]") is None
    assert python_calls("[f(a=x.y)]") is None


def test_argument_texts():
    text = "a='1, 2', people='['Ann', 'Bo']', when='2023-01-01 10:00:00', n=3"
    assert argument_texts(text) == {
        "a": "1, 2",
        "people": "['Ann', 'Bo']",
        "when": "2023-01-01 10:00:00",
        "n": "3",
    }
    assert argument_texts("") == {}


def test_values_of_a_predictions_file():
    assert Output.from_value("text", 2) == Output("text", tool_calls=2)
    assert Output.from_value([{"name": "f", "arguments": {"a": 1}}]).calls == (CALL,)
    assert Output.from_value([]).calls == ()
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
    }
    assert Output.from_value(message).calls == (CALL,)
    assert Output.from_value({"content": "[f(a=1)]"}).calls == (CALL,)
    broken = {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
    assert Output.from_value(broken).readable_calls is None
    turns = Output.from_value([["[f(a=1)]", "done"], []]).turns
    assert [[step.readable_calls for step in turn] for turn in turns] == [[(CALL,), None], []]


@pytest.mark.parametrize(
    "value", [None, 3, ["a", 1], {"text": "x"}, {"content": 3}, {"content": "", "tool_calls": 1}]
)
def test_values_that_are_no_output(value):
    with pytest.raises(ToolwiseError, match="output"):
        Output.from_value(value)
