"""Toolbox: the tools of a run; checks a call, runs it, and turns every mishap into a typed result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolwise.core import ErrorKind, Task, ToolCall, ToolResult, ToolwiseError
from toolwise.tools.session import Session
from toolwise.tools.tool import MAX_RESULT_CHARS, Tool, cut

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
                raise ToolwiseError(f"two tools are called '{tool.name}'", mend="rename one of them")
            self._tools[tool.name] = tool
            self._validators[tool.name] = _validator(tool)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tools, in the order given."""
        return tuple(self._tools)

    def __getitem__(self, name: str) -> Tool:
        """The tool called `name`.

        Raises:
            ToolwiseError: There is none.
        """
        if name not in self._tools:
            known = ", ".join(self._tools) or "none"
            raise ToolwiseError(f"there is no tool '{name}'", mend=f"the tools of this run are: {known}")
        return self._tools[name]

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
            result = await self._tools[call.name].call(session, **call.arguments)
        return replace(result, id=call.id) if call.id else result

    async def run_all(self, calls: Sequence[ToolCall], session: Session) -> list[ToolResult]:
        """Run the calls of one turn at once; results in the order of the calls."""
        if all(call.name not in self._tools or self._tools[call.name].inline for call in calls):
            # Nothing here waits, so do without tasks: the event loop's schedule stays the same on every run.
            return [await self.run(call, session) for call in calls]
        return list(await asyncio.gather(*(self.run(call, session) for call in calls)))

    def _refuse(self, call: ToolCall, session: Session) -> ToolResult | None:
        if call.error is not None:
            return _failed(call.name, call.error, f"Error: the call cannot be read: {call.detail}")
        specs = [tool if isinstance(tool, str) else _given_name(tool) for tool in session.task.tools]
        offered = [name for name in specs if name in self._tools]
        if call.name not in offered:
            known = ", ".join(offered) or "none"
            text = f"Error: there is no tool '{call.name[:100]}'. Known tools: {known}."
            return _failed(call.name, ErrorKind.UNKNOWN_TOOL, text)
        try:
            problem = _argument_problem(self._validators[call.name], call.arguments)
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


def _validator(tool: Tool) -> Any:
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    kind = validator_for(tool.parameters, default=Draft202012Validator)
    try:
        kind.check_schema(dict(tool.parameters))
    except SchemaError as error:
        raise ToolwiseError(
            f"its parameters are not a JSON schema: {error.message[:_MAX_MESSAGE_CHARS]}",
            where=f"tool '{tool.name}'",
            mend='for instance {"type": "object", "properties": {"query": {"type": "string"}}}',
        ) from error
    # An empty registry: a schema never makes the validator fetch another one from the net.
    return kind(dict(tool.parameters), registry=Registry())


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
