"""The contract of a tool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from toolwise.core import ErrorKind, Task, ToolCall, ToolResult
from toolwise.testing.contracts.requirement import require
from toolwise.tools import Session, Tool, Toolbox


def check_tool(tool: Tool, arguments: Mapping[str, Any], info: Mapping[str, Any] | None = None) -> ToolResult:
    """Check a tool with one call that must succeed, and one that its schema must refuse.

    Its description and schema can be shown to a model; the call gives text, within the tool's limits; an
    argument that the schema does not know or lacks is refused before the function runs; and what it keeps in
    the session can be copied for a branch of the rollout.

    Args:
        tool: What is checked.
        arguments: Of a call that must succeed.
        info: The ``info`` of the task, for tools that read it.

    Returns:
        The result of the call, for checks of one's own.

    Raises:
        AssertionError: Says what is broken.
        ToolwiseError: The schema is not a JSON schema, or the session cannot be copied.
    """
    require(isinstance(tool, Tool), f"it is {type(tool).__name__}; make a Tool of it with @tool")
    require(bool(tool.description.strip()), "it has no description: the model could not know what it is for")
    spec = tool.spec()
    try:
        require(json.loads(json.dumps(spec)) == spec, "its schema changes when it is written as JSON")
    except (TypeError, ValueError) as error:
        raise AssertionError(f"its schema cannot be written as JSON: {error}") from error
    toolbox = Toolbox([tool])
    task = Task("check", ({"role": "user", "content": "check"},), (tool.name,), info=dict(info or {}))

    async def call_both() -> tuple[ToolResult, list[ToolResult]]:
        session = Session(task)
        result = await toolbox.run(ToolCall(tool.name, dict(arguments)), session)
        session.fork()
        wrong = [
            await toolbox.run(ToolCall(tool.name, given), Session(task))
            for given in _wrong(tool.parameters, arguments)
        ]
        await session.close()
        return result, wrong

    result, wrong = asyncio.run(call_both())
    require(result.error is None, f"the call fails ({result.error}): {result.content}")
    require(isinstance(result.content, str), f"it gives {type(result.content).__name__}, not text")
    require(
        len(result.content) <= tool.max_result_chars,
        f"it gives {len(result.content)} characters, more than max_result_chars",
    )
    for refused in wrong:
        require(
            refused.error is ErrorKind.BAD_ARGUMENTS,
            "its schema lets a call through that lacks a required argument or has an unknown one; "
            "set 'additionalProperties' to false",
        )
    return result


def _wrong(parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Calls that the schema must refuse: an argument that nobody knows, and each required one left out."""
    lacking = [
        {name: value for name, value in arguments.items() if name != left_out}
        for left_out in parameters.get("required", ())
    ]
    return [dict(arguments) | {"an argument that no tool has": 1}, *lacking]
