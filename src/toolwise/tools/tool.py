"""Tool: a function that the policy may call, with its schema and its limits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, overload

from toolwise.core import ErrorKind, ToolResult, ToolwiseError
from toolwise.tools.limits import TimeLimitError, await_within, thread_within
from toolwise.tools.schema import is_async, parameters_schema, read_docstring, takes_session
from toolwise.tools.session import Session

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
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]
    time_limit: float = TIME_LIMIT
    inline: bool = False
    max_result_chars: int = MAX_RESULT_CHARS

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
        """Make a tool of a function; what is not given is read from its name, hints and Google docstring.

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
        schema = parameters if parameters is not None else parameters_schema(function)
        return cls(name, description, schema, function, time_limit, inline, max_result_chars)

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
        """
        start = time.perf_counter()
        error: ErrorKind | None = None

        def work() -> str:
            return _as_text(self.function(**given))

        async def async_work() -> str:
            return _as_text(await self.function(**given))

        given = dict(arguments)
        if takes_session(self.function):
            given["session"] = session
        try:
            if self.inline:
                content = work()
            elif is_async(self.function):
                content = await await_within(async_work(), self.time_limit)
            else:
                content = await thread_within(work, self.time_limit)
        except TimeLimitError:
            error = ErrorKind.TIMEOUT
            content = f"Error: {self.name} took longer than {self.time_limit:g} s and was stopped."
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


def cut(text: str, max_chars: int) -> str:
    """At most `max_chars` characters: the head and the tail, and a note of how much is missing between."""
    if len(text) > max_chars:
        # The note's own length depends on the count that it gives, so take room for the longest one.
        keep = max(0, max_chars - len(_note(len(text))))
        head = (keep + 1) // 2
        tail = keep - head
        text = text[:head] + _note(len(text) - keep) + text[len(text) - tail :]
    # A lone surrogate can neither be tokenized nor written to a file.
    return text.encode("utf-8", "replace").decode("utf-8")


def _note(missing: int) -> str:
    return f"\n[… {missing} characters left out …]\n"


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return str(result)
    if result is None:
        return ""
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(result)


def _message(error: Exception) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be read: {type(broken).__name__})"
