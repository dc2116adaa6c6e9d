"""Toolbox: the tools of a run; checks a call, runs it, and turns every mishap into a typed result."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from toolwise.core import ErrorKind, Task, ToolCall, ToolResult, ToolwiseError
from toolwise.tools.schema import arguments_validator
from toolwise.tools.session import Session
from toolwise.tools.text import cut
from toolwise.tools.tool import MAX_RESULT_CHARS, Tool

_MAX_MESSAGE_CHARS = 300


class Toolbox:
    """The tools of a run.

    Args:
        tools: With different names.

    Raises:
        ToolwiseError: Two tools have one name, or a schema is not a JSON schema.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._validators: dict[str, Any] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ToolwiseError(
                    f"two tools are called '{tool.name}'",
                    mend="rename one of them; tools of a server or a document can be given a 'prefix'",
                )
            self._tools[tool.name] = tool
            self._validators[tool.name] = arguments_validator(tool.parameters, f"tool '{tool.name}'")
        origins = Counter(tool.origin for tool in self._tools.values())
        # A name that two sources have would not say which one is meant.
        known = [tool for tool in self._tools.values() if tool.origin and origins[tool.origin] == 1]
        self._by_origin = {tool.origin: tool for tool in known}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tools, in the order given."""
        return tuple(self._tools)

    def __getitem__(self, name: str) -> Tool:
        """The tool called `name`, here or at the source that it comes from.

        Raises:
            ToolwiseError: There is none.
        """
        tool = self._find(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise ToolwiseError(f"there is no tool '{name}'", mend=f"the tools of this run are: {known}")
        return tool

    def specs(self, tools: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """OpenAI function objects for `Task.tools`: names are looked up, schemas are passed on.

        Raises:
            ToolwiseError: A name is not in the toolbox, or a schema has no name.
        """
        return [self[tool].spec() if isinstance(tool, str) else _given_spec(tool) for tool in tools]

    def check(self, tasks: Iterable[Task]) -> None:
        """Refuse tasks that name a tool which the toolbox does not have.

        Raises:
            ToolwiseError: Names the task and the tool.
        """
        for task in tasks:
            try:
                self.specs(task.tools)
            except ToolwiseError as error:
                raise ToolwiseError(error.problem, where=f"task '{task.id}'", mend=error.mend) from error

    async def run(self, call: ToolCall, session: Session) -> ToolResult:
        """Run one call; only cancellation gets out of it as an exception.

        A task's tools are the only ones that its rollouts can call, whatever else the toolbox holds.
        """
        result = self._refuse(call, session)
        if result is None:
            result = await self[call.name].call(session, **call.arguments)
        return replace(result, id=call.id) if call.id else result

    async def run_all(self, calls: Sequence[ToolCall], session: Session) -> list[ToolResult]:
        """Run the calls of one turn at once; results in the order of the calls."""
        found = [self._find(call.name) for call in calls]
        if all(tool is None or tool.inline for tool in found):
            # Nothing here waits, so do without tasks: the event loop's schedule stays the same on every run.
            return [await self.run(call, session) for call in calls]
        return list(await asyncio.gather(*(self.run(call, session) for call in calls)))

    def close(self) -> None:
        """Let go of what all rollouts share; call it when the run is over. Safe to call twice.

        Raises:
            Exception: What a tool raised, after all of them had their turn.
        """
        with ExitStack() as stack:
            for tool in self._tools.values():
                if tool.close is not None:
                    stack.callback(tool.close)

    def _find(self, name: str) -> Tool | None:
        return self._tools.get(name) or self._by_origin.get(name)

    def _offered(self, task: Task) -> dict[str, Tool]:
        """What a task's rollouts may call, by the names that the model is shown."""
        offered = {}
        for given in task.tools:
            tool = self._find(given if isinstance(given, str) else _given_name(given))
            if tool is not None:
                offered[tool.name if isinstance(given, str) else _given_name(given)] = tool
        return offered

    def _refuse(self, call: ToolCall, session: Session) -> ToolResult | None:
        if call.error is not None:
            return _failed(call.name, call.error, f"Error: the call cannot be read: {call.detail}")
        offered = self._offered(session.task)
        if call.name not in offered:
            known = ", ".join(offered) or "none"
            text = f"Error: there is no tool '{call.name[:100]}'. Known tools: {known}."
            return _failed(call.name, ErrorKind.UNKNOWN_TOOL, text)
        try:
            validator = self._validators[offered[call.name].name]
            problem = _argument_problem(validator, call.arguments)
        except Exception as raised:
            # A schema that only shows its fault in use: a reference that leads nowhere, a broken pattern.
            text = f"Error: the schema of {call.name} cannot be used: {type(raised).__name__}: {raised}"
            return _failed(call.name, ErrorKind.TOOL_FAILURE, text)
        if problem:
            return _failed(call.name, ErrorKind.BAD_ARGUMENTS, f"Error: {problem}")
        return None


def _failed(name: str, error: ErrorKind, text: str) -> ToolResult:
    return ToolResult(name, cut(text, MAX_RESULT_CHARS), error)


def _given_name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else ""


def _given_spec(tool: Mapping[str, Any]) -> dict[str, Any]:
    if not _given_name(tool):
        raise ToolwiseError(
            "a tool schema has no name",
            mend='write {"type": "function", "function": {"name": …, "description": …, "parameters": …}}',
        )
    return {"type": "function", "function": dict(tool.get("function", tool))}


def _argument_problem(validator: Any, arguments: Mapping[str, Any]) -> str:
    from jsonschema.exceptions import best_match

    try:
        error = best_match(validator.iter_errors(dict(arguments)))
        if error is None:
            return ""
        field = cut(".".join(str(part) for part in error.absolute_path), _MAX_MESSAGE_CHARS)
        message = cut(str(error.message), _MAX_MESSAGE_CHARS)
    except RecursionError:
        return "the arguments are nested too deeply"
    return f"argument '{field}': {message}" if field else f"arguments: {message}"
