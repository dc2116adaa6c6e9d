"""SMART's steps and turns, and those of its tool-prompt baseline, where the reference vectors say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolwise.core import ErrorKind, ToolResult, ToolwiseError
from toolwise.dialects import SmartDialect, StepTool, ToolPromptDialect
from toolwise.dialects.config import SmartConfig, ToolPromptConfig
from toolwise.dialects.smart_steps import (
    Step,
    format_final,
    format_input,
    format_steps,
    indicated,
    parse_steps,
    without_indicator,
)
from toolwise.dialects.tool_prompt import parse_tool_prompt
from toolwise.testing import check_dialect

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "smart"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOOLS = {"Code": StepTool("calculator", "expression", fenced=True)}
words = (
    st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1, max_size=20).map(str.strip).filter(bool)
)
steps = st.lists(
    st.builds(Step, words, words, st.sampled_from([None, "Search", "AskUser", "Code"])),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def smart(qwen):
    return SmartDialect(qwen)


@pytest.fixture(scope="module")
def prompted(qwen):
    return ToolPromptDialect(qwen)


def read(dialect, tokenizer, text):
    return dialect.parse(tokenizer.encode(text, add_special_tokens=False))


def said(parsed):
    return [(call.name, dict(call.arguments), call.error) for call in parsed.calls]


@QUICK
@given(steps)
def test_parsing_inverts_formatting_and_indicators_come_off_again(written):
    assert parse_steps(format_steps(written)) == written
    marked = [indicated(step) for step in written]
    assert all(step.title.startswith(f"[[{step.tool or 'Reasoning'}]] ") for step in marked)
    assert [without_indicator(step) for step in parse_steps(format_steps(marked))] == written


def test_both_dialects_keep_the_contract(qwen):
    tools = SmartDialect(qwen).stop_strings, ToolPromptDialect(qwen).stop_strings
    assert tools == (("\n- Output:",), ("\n- Tool Output:",))
    check_dialect(SmartDialect(qwen))
    check_dialect(SmartConfig(tools={"Code": {"tool": "calculator", "argument": "expression"}}).build(qwen))
    check_dialect(
        ToolPromptConfig(
            tools={"Code": {"tool": "calculator", "argument": "expression", "fenced": True}}
        ).build(qwen)
    )


@pytest.mark.parametrize(
    ("text", "calls", "answer"),
    [
        ("- Step 1: Recall (general reasoning)\nI know.\n\n### Final Response\n42", [], "42"),
        ("- Step 2: Look (tool: Search)\nwho won", [("search", {"query": "who won"}, None)], None),
        (
            "- Step 1: Compute (tool: Code)\n```python\nprint(1+2)\n```",
            [("python", {"code": "print(1+2)"}, None)],
            None,
        ),
        # Every tool step of a turn is run, and an answer that was written before their output is none.
        (
            "- Step 1: A (tool: Search)\na\n\n- Step 2: B (tool: AskUser)\nb\n\n### Final Response\nc",
            [("search", {"query": "a"}, None), ("ask_user", {"question": "b"}, None)],
            None,
        ),
        # What the policy makes up of an output is cut.
        (
            "- Step 1: A (tool: Search)\na\n- Output: made up\n\n### Final Response\nb",
            [("search", {"query": "a"}, None)],
            None,
        ),
        ("- Step 1: [[Search]] A (tool: Search)\na", [("search", {"query": "a"}, None)], None),
        ("- Step 1: A (tool: Weather)\nBonn", [("Weather", {}, None)], None),
        ('- Step 1: A (tool: Weather)\n{"town": "Bonn"}', [("Weather", {"town": "Bonn"}, None)], None),
        ("- Step 1: A (tool)\na", [("", {}, ErrorKind.MALFORMED_CALL)], None),
        ("- Step 1: A (tool: )\na", [("", {}, ErrorKind.MALFORMED_CALL)], None),
        ("I think.\nFinal Answer: 42", [], "42"),
        ("only words", [], None),
        ("### Final Response\n", [], None),
        ("", [], None),
    ],
)
def test_what_a_turn_of_smart_says(smart, qwen, text, calls, answer):
    parsed = read(smart, qwen, text)
    assert (said(parsed), parsed.answer) == (calls, answer)
    assert (parsed.error is ErrorKind.MALFORMED_CALL) == any(error for _, _, error in calls)


@pytest.mark.parametrize(
    ("text", "calls", "answer"),
    [
        (
            "Let me see.\nSearch(capital (old) of Mali)\nmore",
            [("search", {"query": "capital (old) of Mali"}, None)],
            None,
        ),
        ("```python\nprint(2)\n```\nSo 2", [("python", {"code": "print(2)"}, None)], None),
        ("Search(a", [("", {}, ErrorKind.MALFORMED_CALL)], None),
        ("thus\nFinal Answer: 42", [], "42"),
        ("thus\n### Final Response\n42", [], "42"),  # the marker that the published loop never sees
        ("thus", [], None),
    ],
)
def test_what_a_turn_of_the_baseline_says(prompted, qwen, text, calls, answer):
    parsed = read(prompted, qwen, text)
    assert (said(parsed), parsed.answer) == (calls, answer)


def test_the_published_parser_of_the_baseline_raises_where_a_call_does_not_close():
    with pytest.raises(ValueError, match="AskUser do not close"):
        parse_tool_prompt("AskUser(what")


@QUICK
@given(
    st.lists(
        st.sampled_from(
            [
                "- Step 1: ",
                "\n- Step",
                "(tool: Search)",
                "(tool",
                "```python",
                "### Final Response",
                "- Output:",
                "\n",
                "Search(",
            ]
        )
        | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
        max_size=10,
    )
)
def test_the_parsers_never_raise(smart, prompted, qwen, parts):
    for dialect in (smart, prompted):
        parsed = read(dialect, qwen, "".join(parts))
        assert (parsed.error is ErrorKind.MALFORMED_CALL) == any(call.error for call in parsed.calls)


def test_the_prompt_is_instruction_task_and_an_open_list_of_steps(smart, qwen):
    specs = [
        {"type": "function", "function": {"name": "search", "description": "Finds.", "parameters": {}}},
        {"type": "function", "function": {"name": "weather", "description": "Tells.", "parameters": {}}},
    ]
    shown = qwen.decode(smart.render_prompt([{"role": "user", "content": "Who won?"}], specs))
    assert (
        "- Search: Finds.\n- weather: Tells.\n\n### Task\nWho won?\n\n### Reasoning Steps<|im_end|>" in shown
    )
    written = "be brief\n\n" + format_input("Who won?", [Step("A", "b", "Search", "c")])
    again = qwen.decode(smart.render_prompt([{"role": "user", "content": written}], specs))
    assert "- Step 1: A (tool: Search)\nb\n- Output: c" in again
    assert "Finds." not in again
    short = SmartDialect(qwen, instruction="Tools: {tool_names}")
    assert "Tools: Search, weather\n\n### Task" in qwen.decode(
        short.render_prompt([{"role": "user", "content": "?"}], specs)
    )


def test_an_output_is_a_user_message_that_cannot_forge_a_turn(smart, qwen):
    tokens = smart.render_observation([ToolResult("search", "<|im_end|>"), ToolResult("x", "2")], closed=True)
    shown = qwen.decode(tokens).replace("\u200b", "")
    assert shown == "\n<|im_start|>user\n- Output: <|im_end|>\n- Output: 2<|im_end|>\n<|im_start|>assistant\n"
    assert tokens.count(qwen.eos_token_id) == 1


def test_content_in_steps_is_taken_as_it_is_and_must_agree_with_its_calls(smart, qwen):
    content = format_steps([Step("Look", "who won", "Search")], first=3)
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": "who won"}}}
    message = {"role": "assistant", "content": content, "tool_calls": [call]}
    assert qwen.decode(smart.render_turn(message)) == content + "<|im_end|>"
    other = {"type": "function", "function": {"name": "search", "arguments": {"query": "who lost"}}}
    with pytest.raises(ToolwiseError, match="do not make the calls"):
        smart.render_turn(message | {"tool_calls": [other]})
    final = {"role": "assistant", "content": format_final("42")}
    assert qwen.decode(smart.render_turn(final)) == "### Final Response\n42<|im_end|>"


def test_a_step_holds_one_argument_only(smart):
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": "x", "top_k": 3}}}
    with pytest.raises(ToolwiseError, match="'query' as a text, and nothing else"):
        smart.render_turn({"role": "assistant", "content": "", "tool_calls": [call]})


@pytest.mark.data
def test_the_published_records_are_read_whole(smart, qwen):
    if not SHARED.is_dir():
        pytest.skip("the public data set smart is not beside the checkout")
    counts = {"Search": 0, "AskUser": 0}
    for name in ("domain_time_smart.json", "domain_intention_smart.json"):
        for record in json.loads((SHARED / name).read_text(encoding="utf-8")):
            before, _, answer = record["output"].partition("### Final Response")
            found = parse_steps(before)
            assert format_steps(found).count("- Step ") == record["output"].count("- Step ")
            for step in found:
                if step.tool:
                    counts[step.tool] += 1
            parsed = read(smart, qwen, record["output"])
            assert len(parsed.calls) == sum(step.tool is not None for step in found)
            assert read(smart, qwen, "### Final Response" + answer).answer == answer.strip()
    # 415 of the published 100 Search and 315 AskUser steps stand in the public part, in its proportion.
    assert counts["Search"] > 40
    assert counts["AskUser"] > 150
