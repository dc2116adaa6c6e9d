"""The prompt builder: the published data's own prompts come out of it, character by character."""

from __future__ import annotations

import json
import re

import pytest

from toolwise.core import ToolwiseError
from toolwise.data import read_tasks
from toolwise.dialects import toolrl_history, toolrl_prompt, toolrl_system, toolrl_turn

TOOL = re.compile(r"^\d+\. Name: (.*)\nDescription: ((?:.|\n)*?)\nParameters: (.*)$", re.MULTILINE)
BLOCK = re.compile(r"<(user|obs|response|think|tool_call)>(?:\s)(.*?)(?:\s)</\1>", re.DOTALL)


def tools_of(system):
    shown = system.split("following tools:\n")[1].split("\n**Steps")[0]
    return [
        {"name": name, "description": text, "parameters": {"properties": json.loads(parameters)}}
        for name, text, parameters in TOOL.findall(shown)
    ]


def messages_of(history):
    """Read the published history back: blocks of one piece are one turn."""
    messages = []
    for piece in re.split(r"\n\n(?=<(?:user|think)>)", history.split("\n", 1)[1]):
        if piece.startswith("<user>"):
            messages.append(
                {"role": "user", "content": piece.removeprefix("<user> ").removesuffix(" </user>")}
            )
            continue
        said, _, results = piece.partition("\n<obs> ")
        messages.append({"role": "assistant", "content": said})
        for result in json.loads(results.removesuffix(" </obs>")) if results else ():
            content = result["results"]
            messages.append(
                {
                    "role": "tool",
                    "name": result["name"],
                    "content": content if isinstance(content, str) else json.dumps(content),
                }
            )
    return messages


@pytest.mark.data
def test_published_prompts_are_rebuilt(shared_dir):
    rebuilt = with_results = 0
    for name in ("test.parquet", "rlla_sft.json"):
        for task in read_tasks(shared_dir / "data" / "toolrl_rlla" / name, "rlla"):
            system, user = (message["content"] for message in task.prompt)
            assert toolrl_system(tools_of(system)) == system
            messages = messages_of(user)
            assert toolrl_history(messages) == user
            rebuilt += 1
            with_results += any(message["role"] == "tool" for message in messages)
    assert rebuilt == 341
    assert with_results > 20


def test_messages_of_all_roles_stand_in_the_history():
    call = {"function": {"name": "f", "arguments": '{"x": "é"}'}}
    messages = [
        {"role": "system", "content": "You know ferries."},
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "reasoning_content": "look", "tool_calls": [call]},
        {"role": "tool", "name": "f", "content": "plain"},
        {"role": "tool", "name": "g", "content": '{"y": 1}'},
    ]
    system, user = toolrl_prompt(messages, [{"name": "f"}])
    assert system["content"].startswith("You know ferries.\n\n**Available Tools**\n")
    assert user["content"] == (
        "**Dialogue Records History**\n<user> ? </user>\n\n<think> look </think>\n<tool_call>\n"
        '{"name": "f", "parameters": {"x": "\\u00e9"}}\n</tool_call>\n'
        '<obs> [{"name": "f", "results": "plain"}, {"name": "g", "results": {"y": 1}}] </obs>'
    )
    assert toolrl_turn({"content": "<think> a </think>\n<response> b </response>"}).endswith("</response>")


@pytest.mark.parametrize(
    ("messages", "tools", "problem"),
    [
        ([{"role": "user", "content": "?"}, {"role": "system", "content": "x"}], [{"name": "f"}], "'system'"),
        ([{"role": "user", "content": "?"}], [{"description": "f"}], "no name"),
        ([{"role": "user", "content": "?"}], [{"name": "f", "parameters": {"properties": 3}}], "tool 'f'"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"x": 1}]}], [{"name": "f"}], "no name"),
    ],
)
def test_what_cannot_be_shown_is_refused(messages, tools, problem):
    with pytest.raises(ToolwiseError, match=problem):
        toolrl_prompt(messages, tools)
