"""Tool: a function that the policy may call, with its schema and its limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, overload

from toolwise.core import ErrorKind, ToolResult, ToolwiseError
from toolwise.tools.docstrings import read_docstring
from toolwise.tools.limits import TimeLimitError, await_within, thread_within
from toolwise.tools.names import writable_name
from toolwise.tools.schema import (
    arguments_validator,
    check_fit,
    converting,
    is_async,
    is_generator,
    read_parameters,
    session_arguments,
)
from toolwise.tools.session import Session
from toolwise.tools.text import as_text, cut

TIME_LIMIT = 10.0
MAX_RESULT_CHARS = 4000


class ToolError(Exception):
    """Raised inside a tool to tell the model, in its own words, why the call failed.

    Args:
        message: What the model reads.
        kind: What sort of failure it was.
    """

    def __init__(self, message: str, *, kind: ErrorKind = ErrorKind.TOOL_FAILURE) -> None:
        super().__init__(message)
        self.kind = kind


def _refused(message: str) -> ToolError:
    return ToolError(message, kind=ErrorKind.BAD_ARGUMENTS)


class FatalToolError(ToolwiseError):
    """Raised inside a tool when going on makes no sense, such as a budget that is spent; it ends the run."""


@dataclass(frozen=True)
class Tool:
    """A function that the policy may call.

    Attributes:
        name: What the model writes to call it.
        description: What the model reads about it.
        parameters: JSON schema of the arguments (an object).
        function: Called with the arguments by name, plus ``session`` if it has such a parameter. Its result
            is text, or anything JSON can hold.
        time_limit: Seconds after which a call is cancelled, > 0; infinite where the function keeps its own.
        inline: Run directly on the event loop. Only for a sync function that is provably short: no time limit
            guards it, and in return calls end in the same order on every run.
        max_result_chars: Longer results are cut in the middle, ≥ 100.
        origin: The name at the source that the tool comes from, where it had to be written differently; tasks
            may use either.
        close: Called when the run is over, by `Toolbox.close`, to let go of what all rollouts share; calls
            after it open that anew.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]
    time_limit: float = TIME_LIMIT
    inline: bool = False
    max_result_chars: int = MAX_RESULT_CHARS
    origin: str = ""
    close: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        """Check what a call relies on."""
        where = f"tool '{self.name}'"
        if not self.name or any(char.isspace() for char in self.name):
            raise ToolwiseError("its name is empty or has spaces", where=where, mend="use one word")
        if not self.time_limit > 0:
            raise ToolwiseError(f"time_limit is {self.time_limit}", where=where, mend="give seconds above 0")
        if self.max_result_chars < 100:
            raise ToolwiseError(
                f"max_result_chars is {self.max_result_chars}", where=where, mend="give 100 or more"
            )
        if self.inline and is_async(self.function):
            raise ToolwiseError("an async function cannot be inline", where=where, mend="drop inline=True")
        if is_generator(self.function):
            raise ToolwiseError("its function is a generator", where=where, mend="return the whole result")

    @classmethod
    def from_function(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        time_limit: float = TIME_LIMIT,
        inline: bool = False,
        max_result_chars: int = MAX_RESULT_CHARS,
    ) -> Tool:
        """Make a tool of a function; what is not given is read from its name, hints and docstring.

        The function gets what its hints promise: an enum's member, a dataclass, a pydantic model … With
        `parameters` given it gets plain JSON values.

        Raises:
            ToolwiseError: There is no description, or the parameters cannot be read.
        """
        name = name if name is not None else getattr(function, "__name__", "")
        if description is None:
            description, _ = read_docstring(function)
        if not description:
            raise ToolwiseError(
                "it has no description", where=f"tool '{name}'", mend="write a docstring: the model reads it"
            )
        if parameters is None:
            read = read_parameters(function)
            parameters, function = read.schema, converting(function, read.adapters, _refused)
        return cls(name, description, parameters, function, time_limit, inline, max_result_chars)

    @classmethod
    def from_schema(
        cls,
        spec: Mapping[str, Any],
        function: Callable[..., Any],
        *,
        time_limit: float = TIME_LIMIT,
        inline: bool = False,
        max_result_chars: int = MAX_RESULT_CHARS,
    ) -> Tool:
        """Make a tool of a JSON-schema spec and the function behind it, which gets plain JSON values.

        Args:
            spec: An OpenAI function object, with or without its ``function`` wrapper. The parameters may
                also be called ``input_schema`` or ``inputSchema``. A name with other characters than
                ``A-Za-z0-9_-`` is written with ``_``, and kept as `origin`.
            function: Takes the properties of the parameters by name, and perhaps ``session``.
            time_limit: See `Tool`.
            inline: See `Tool`.
            max_result_chars: See `Tool`.

        Raises:
            ToolwiseError: The spec has no name or description, its parameters are not a JSON schema of an
                object, or the function does not fit them.
        """
        inner = spec.get("function", spec)
        inner = inner if isinstance(inner, Mapping) else {}
        name, description = inner.get("name"), inner.get("description")
        where = f"tool '{name}'"
        for key, value in (("name", name), ("description", description)):
            if not isinstance(value, str) or not value.strip():
                raise ToolwiseError(f"its schema has no {key}", where=where, mend=f"add '{key}', some text")
        given = [inner[key] for key in ("parameters", "input_schema", "inputSchema") if key in inner]
        parameters = given[0] if given else {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
            raise ToolwiseError(
                "its parameters do not describe an object",
                where=where,
                mend='for instance {"type": "object", "properties": {"query": {"type": "string"}}}',
            )
        arguments_validator(parameters, where)
        check_fit(function, parameters, where)
        written = writable_name(str(name))
        origin = str(name) if written != name else ""
        return cls(
            written, str(description), parameters, function, time_limit, inline, max_result_chars, origin
        )

    def spec(self) -> dict[str, Any]:
        """The OpenAI function object that chat templates render."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}

    async def call(self, session: Session, /, **arguments: Any) -> ToolResult:
        """Call the function. Whatever goes wrong is in the result; only cancellation gets out.

        Args:
            session: The rollout's session.
            **arguments: As the schema says; `Toolbox.run` checks them first.

        Raises:
            FatalToolError: The tool says that the run must end.
        """
        start = time.perf_counter()
        error: ErrorKind | None = None

        def work() -> str:
            return as_text(self.function(*before, **given))

        async def async_work() -> str:
            return as_text(await self.function(*before, **given))

        before, by_name = session_arguments(self.function, session)
        given = arguments | by_name
        try:
            if self.inline:
                content = work()
            elif is_async(self.function):
                content = await await_within(async_work(), self.time_limit)
            else:
                content = await thread_within(work, self.time_limit)
        except FatalToolError:
            raise
        except TimeLimitError as raised:
            error = ErrorKind.TIMEOUT
            content = f"Error: {self.name} took longer than {raised.limit:g} s and was stopped."
        except ToolError as raised:
            error, content = raised.kind, f"Error: {raised}"
        except Exception as raised:
            error, content = ErrorKind.TOOL_FAILURE, f"Error: {type(raised).__name__}: {_message(raised)}"
        content = cut(content, self.max_result_chars)
        return ToolResult(self.name, content, error, time.perf_counter() - start)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    time_limit: float = TIME_LIMIT,
    inline: bool = False,
    max_result_chars: int = MAX_RESULT_CHARS,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Tool | Callable[..., Tool]:
    """Decorator that makes a `Tool` of a function: ``@tool`` or ``@tool(time_limit=2)``."""
    if function is not None:
        return Tool.from_function(function)
    return lambda decorated: Tool.from_function(decorated, **options)


def _message(error: Exception) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be read: {type(broken).__name__})"
