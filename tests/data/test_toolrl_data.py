"""ToolACE-, xLAM- and Hammer-style records become ToolRL's single steps."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import ToolwiseError
from toolwise.core.records import Row
from toolwise.data import (
    Demonstration,
    as_demonstration,
    masked,
    read_demonstrations,
    read_tasks,
    toolace_conversation,
    toolrl_mix,
    toolrl_steps,
    xlam_conversation,
)
from toolwise.data.call_text import read_calls
from toolwise.dialects.toolrl_prompt import CALLING_THOUGHT, RESPONDING_THOUGHT
from toolwise.rewards import toolrl_score

XLAM = {
    "id": 7,
    "query": "Which ferries leave Norvik, and when does the sun set there?",
    "tools": json.dumps(
        [
            {
                "name": "ferries",
                "description": "Ferries of a port.",
                "parameters": {
                    "port": {"description": "Name of the port.", "type": "str"},
                    "limit": {"description": "Most ferries.", "type": "int, optional", "default": 5},
                },
            },
            {"name": "sunset", "description": "Time of sunset.", "parameters": {"place": {"type": "str"}}},
        ]
    ),
    "answers": json.dumps(
        [
            {"name": "ferries", "arguments": {"port": "Norvik"}},
            {"name": "sunset", "arguments": {"place": "Norvik"}},
        ]
    ),
}
FERRY_API = "Ferry Times (Coast, 2021)"
TOOLACE = {
    "system": "You compose calls. These functions can be invoked:\n"
    + json.dumps(
        [
            {
                "name": FERRY_API,
                "description": "Timetable of a port.",
                "parameters": {
                    "type": "dict",
                    "properties": {
                        "port": {"description": "Port.", "type": "string"},
                        "days": {"description": "Days.", "type": "array", "items": {"type": "int"}},
                    },
                    "required": ["port"],
                },
                "required": None,
            },
            {"name": "noop", "description": "Nothing.", "parameters": {"type": "dict", "properties": {}}},
        ]
    )
    + "\nWrite them as [name(key=value)].",
    "conversations": [
        {"from": "user", "value": "Ferries of Norvik, today and tomorrow?"},
        {"from": "assistant", "value": f'[{FERRY_API}(port="Nor, vik)", days=[1, 2]), noop()]'},
        {"from": "tool", "value": json.dumps([{"name": FERRY_API, "results": {"at": ["9:00"]}}])},
        {"from": "assistant", "value": "One, at nine."},
        {"from": "user", "value": "Thanks!"},
        {"from": "assistant", "value": "[You are welcome]"},
    ],
}


def calls_of(turn):
    return [
        json.loads(line) for line in turn.split("<tool_call>\n")[1].split("\n</tool_call>")[0].split("\n")
    ]


def test_an_xlam_record_is_one_step():
    (task,) = toolrl_steps(Demonstration(*xlam_conversation(Row(1, XLAM))), "xlam")
    assert (task.id, task.tools, task.info["source"]) == ("xlam-7-0", (), "xlam")
    assert task.answer.startswith(f"<think> {CALLING_THOUGHT} </think>\n<tool_call>\n")
    assert calls_of(task.answer) == [
        {"name": "ferries", "parameters": {"port": "Norvik"}},
        {"name": "sunset", "parameters": {"place": "Norvik"}},
    ]
    system, user = (message["content"] for message in task.prompt)
    assert user == f"**Dialogue Records History**\n<user> {XLAM['query']} </user>"
    shown = (
        '1. Name: ferries\nDescription: Ferries of a port.\nParameters: {"port": {"description": '
        '"Name of the port.", "type": "str", "default": ""}, "limit": {"description": "Most ferries.", '
        '"type": "int, optional", "default": 5}}\n2. Name: sunset\n'
    )
    assert shown in system
    score = toolrl_score(task.answer, task.answer)
    assert (score.format, score.correctness) == (1, 3)


def test_a_record_without_calls_asks_for_a_response():
    (task,) = toolrl_steps(Demonstration(*xlam_conversation(Row(3, XLAM | {"answers": "[]", "id": 8}))))
    assert re.fullmatch(
        rf"<think> {re.escape(RESPONDING_THOUGHT)} </think>\n<response> .+ </response>", task.answer
    )


def test_each_turn_of_a_toolace_conversation_is_a_step():
    conversation = Demonstration(*toolace_conversation(Row(4, TOOLACE)))
    first, second, third = toolrl_steps(conversation, "toolace")
    assert calls_of(first.answer) == [
        {"name": FERRY_API, "parameters": {"port": "Nor, vik)", "days": [1, 2]}},
        {"name": "noop", "parameters": {}},
    ]
    assert (
        '"days": {"description": "Days.", "type": "array", "default": "", "items": {"type": "int"}}'
        in (first.prompt[0]["content"])
    )
    results = f'<obs> [{{"name": "{FERRY_API}", "results": {{"at": ["9:00"]}}}}] </obs>'
    asked = "**Dialogue Records History**\n<user> Ferries of Norvik, today and tomorrow? </user>"
    assert first.prompt[1]["content"] == asked
    assert second.prompt[1]["content"] == f"{asked}\n\n{first.answer}\n{results}"
    assert second.answer == f"<think> {RESPONDING_THOUGHT} </think>\n<response> One, at nine. </response>"
    assert third.prompt[1]["content"] == (
        f"{second.prompt[1]['content']}\n\n{second.answer}\n\n<user> Thanks! </user>"
    )
    assert third.answer.endswith("<response> [You are welcome] </response>")
    assert all(toolrl_score(t.answer, t.answer).format == 1 for t in (first, second, third))
    assert as_demonstration(first).messages[-1]["content"] == first.answer


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("a", "a b", "a b (c)", "a b (c) (d, e)")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.dictionaries(st.from_regex(r"\A[a-z][a-z_.\-]{0,8}\Z"), plain_values, max_size=3),
        ),
        max_size=4,
    ),
    st.sampled_from([repr, json.dumps]),
)
def test_calls_as_text_are_read_back(calls, write):
    written = ", ".join(
        f"{name}({', '.join(f'{key}={write(value)}' for key, value in arguments.items())})"
        for name, arguments in calls
    )
    assert read_calls(f"[{written}]", NAMES) == calls


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a(x=1)", "'\\['"),
        ("[a(x=1", "not closed"),
        ("[a(x=1)", "not closed"),
        ("[b(x=1)]", "no tool is called"),
        ("[a(1)]", "no name"),
        ("[a(x=__import__('os'))]", "cannot be read"),
        ("[a(x=1)] and more", "after the calls"),
        ("[a(x=" + "[" * 5000 + "]" * 5000 + ")]", "cannot be read"),
        ("[a(x=NaN)]", None),
    ],
)
def test_texts_that_are_no_calls(text, problem):
    if problem is None:
        assert read_calls(text, ["a"]) == [("a", {"x": "NaN"})]  # a word, not a number that equals nothing
        return
    with pytest.raises(ToolwiseError, match=problem):
        read_calls(text, ["a"])


def test_masking_renames_alike_everywhere():
    plain = toolace_conversation(Row(4, TOOLACE))
    identity, messages, tools = masked(plain, 1)
    assert masked(plain, 1) == (identity, messages, tools) != masked(plain, 2)
    function = tools[0]["function"]
    port, days = function["parameters"]["properties"]
    assert function["parameters"]["required"] == [port]
    call = messages[1]["tool_calls"][0]["function"]
    assert (call["name"], call["arguments"]) == (function["name"], {port: "Nor, vik)", days: [1, 2]})
    assert messages[2]["name"] == function["name"]
    assert not {FERRY_API, "port", "days", "noop"} & {
        function["name"],
        port,
        days,
        tools[1]["function"]["name"],
    }
    assert all(5 <= len(tool["function"]["name"]) <= 16 for tool in tools)
    assert function["description"] == "Timetable of a port."


def test_the_mix_takes_what_is_asked_and_holds_some_back(tmp_path):
    xlam, toolace = tmp_path / "xlam.json", tmp_path / "toolace.jsonl"
    xlam.write_text(json.dumps([XLAM | {"id": number} for number in range(120)]))
    toolace.write_text("".join(json.dumps(TOOLACE) + "\n" for _ in range(20)))
    files = {"toolace": toolace, "xlam": xlam, "hammer": xlam}
    counts = {"toolace": 50, "xlam": 30, "hammer": 20}
    mix = toolrl_mix(files, counts, seed=3)
    everything = [*mix.training, *mix.held_out]
    assert (len(mix.training), len(mix.held_out), mix.refused) == (98, 2, ())
    assert {source: sum(t.info["source"] == source for t in everything) for source in counts} == counts
    assert len({task.id for task in everything}) == 100
    assert not any("ferries" in task.answer for task in everything if task.info["source"] == "hammer")
    assert toolrl_mix(files, counts, seed=3) == mix != toolrl_mix(files, counts, seed=4)


def test_bad_rows_are_refused_or_listed(tmp_path):
    path = tmp_path / "xlam.jsonl"
    bad = [
        {"query": "?"},
        XLAM | {"answers": '[{"name": "ferries", "arguments": 3}]'},
        XLAM | {"tools": "{"},
        [],
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in [XLAM, *bad]) + "not json\n")
    with pytest.raises(ToolwiseError, match="5 of 6 rows") as caught:
        toolrl_mix({"xlam": path})
    assert "row 2: field 'tools' is missing" in str(caught.value)
    mix = toolrl_mix({"xlam": path}, bad_rows="skip")
    assert [task.id for task in mix.training] == ["xlam-7-0"]
    assert [line.split("row ")[1][0] for line in mix.refused] == ["2", "3", "4", "5", "6"]
    with pytest.raises(ToolwiseError, match="no file"):
        toolrl_mix({})
    with pytest.raises(ToolwiseError, match="only a name"):
        toolrl_steps(Demonstration("a", ({"role": "user", "content": "?"},), ("search",)))


def test_the_command_writes_what_the_readers_read(tmp_path):
    from typer.testing import CliRunner

    from toolwise.cli.app import app

    source = tmp_path / "toolace.json"
    source.write_text(json.dumps([TOOLACE] * 20))
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["data", "toolrl", "--toolace", str(source), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "59 steps to train on, 1 held out (60 of toolace)" in done.output
    training = read_tasks(out / "train.jsonl")
    assert (len(training), len(read_tasks(out / "heldout.jsonl"))) == (59, 1)
    demonstrations = read_demonstrations(out / "demonstrations.jsonl")
    assert [d.messages[-1]["content"] for d in demonstrations] == [task.answer for task in training]
