"""The tools that SMART's steps name, and how a task is put to a model that writes in steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolwise.core import Message, ToolCall, ToolwiseError
from toolwise.dialects.call_json import malformed, read_object
from toolwise.dialects.smart_steps import TASK, Step, format_input


@dataclass(frozen=True, slots=True)
class StepTool:
    """Which tool a step calls.

    Attributes:
        tool: Name of the tool.
        argument: Name of its argument, which the body of the step is.
        fenced: Whether the body stands in a fence of ``python``.
    """

    tool: str
    argument: str
    fenced: bool = False


STEP_TOOLS: Mapping[str, StepTool] = {
    "Code": StepTool("python", "code", fenced=True),
    "Search": StepTool("search", "query"),
    "AskUser": StepTool("ask_user", "question"),
}
"""SMART's three tools; any other is called by its own name, with its arguments as JSON."""

_TITLES = {"Code": "Compute it", "Search": "Look it up", "AskUser": "Ask the user"}
_FENCE = re.compile(r"```[\w+-]*\n?(.*?)(?:```|\Z)", re.DOTALL)


def call_of(step: Step, tools: Mapping[str, StepTool]) -> ToolCall:
    """The call that a tool step makes."""
    name = step.tool or ""
    known = tools.get(name)
    if known is None:
        return _json_call(name, step.body)
    body = step.body
    if known.fenced and (fence := _FENCE.search(body)):
        body = fence.group(1).strip()
    return ToolCall(known.tool, {known.argument: body})


def step_of(call: ToolCall, tools: Mapping[str, StepTool]) -> Step:
    """The tool step that makes a call.

    Raises:
        ToolwiseError: The call has other arguments than the one that the step holds.
    """
    name = _names(tools).get(call.name)
    if name is None:
        return Step(f"Call {call.name}", json.dumps(dict(call.arguments), ensure_ascii=False), call.name)
    known = tools[name]
    body = call.arguments.get(known.argument)
    if not isinstance(body, str) or len(call.arguments) != 1:
        raise ToolwiseError(
            f"a step with {name} holds the argument '{known.argument}' as a text, and nothing else",
            mend=f"the call has: {', '.join(call.arguments) or 'no arguments'}",
        )
    body = f"```python\n{body.strip()}\n```" if known.fenced else body
    return Step(_TITLES.get(name, f"Use {name}"), body, name)


def shown_tools(instruction: str, specs: Sequence[Mapping[str, Any]], tools: Mapping[str, StepTool]) -> str:
    """The instruction with ``{tool_lines}`` and ``{tool_names}`` filled in.

    Args:
        instruction: What stands before the task.
        specs: OpenAI function objects of the tools on offer.
        tools: Tool of each step, by the step's name.
    """
    functions = [spec.get("function", spec) for spec in specs]
    names = [_names(tools).get(function["name"], function["name"]) for function in functions]
    lines = [
        f"- {name}: {str(function.get('description') or '').strip()}"
        for name, function in zip(names, functions, strict=True)
    ]
    filled = instruction.replace("{tool_lines}", "\n".join(lines) or "- none")
    return filled.replace("{tool_names}", ", ".join(names) or "none").strip()


def asked_in(messages: Sequence[Message], instruction: str) -> list[dict[str, Any]]:
    """The conversation with its last user message put as a task, unless it is written as one already."""
    shown = [dict(message) for message in messages]
    asked = next((message for message in reversed(shown) if message["role"] == "user"), None)
    if asked is not None and TASK not in (asked.get("content") or ""):
        asked["content"] = f"{instruction}\n\n{format_input(asked.get('content') or '')}".strip()
    return shown


def _names(tools: Mapping[str, StepTool]) -> dict[str, str]:
    return {known.tool: name for name, known in tools.items()}


def _json_call(name: str, body: str) -> ToolCall:
    if not name:
        return malformed("a tool step names its tool, as in (tool: Search)")
    try:
        arguments, _ = read_object(body)
    except ValueError:
        # Tools that nobody offers are told so by the toolbox; no JSON is asked of their steps.
        arguments = {}
    return ToolCall(name, arguments if isinstance(arguments, Mapping) else {})
