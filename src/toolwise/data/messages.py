"""Checks of chat messages that a file gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from toolwise.core import ToolwiseError

_KEYS = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name")


def check_keys(message: Mapping[str, Any], field: str) -> None:
    """Refuse a key that would not be written into the turn, such as a thought under another name.

    Keys without a value (``"refusal": null``), as API clients add them, are fine.

    Args:
        message: An OpenAI-style message.
        field: Where it stands in its record, for the error.

    Raises:
        ToolwiseError: Names the key.
    """
    for key, value in message.items():
        if key not in _KEYS and value not in (None, "", [], {}):
            raise ToolwiseError(
                f"field '{field}.{key}' is not known",
                mend=f"known are {', '.join(_KEYS)}; a thought stands in reasoning_content",
            )


def check_calls(message: Mapping[str, Any], field: str) -> None:
    """Refuse tool calls that no dialect could write.

    Args:
        message: An OpenAI-style message.
        field: Where it stands in its record, for the error.

    Raises:
        ToolwiseError: Names the call and what is wrong with it.
    """
    calls = message.get("tool_calls")
    if calls is None:
        return
    mend = 'write [{"type": "function", "function": {"name": …, "arguments": {…}}}]'
    if not isinstance(calls, list | tuple):
        raise ToolwiseError(f"field '{field}.tool_calls' is not a list", mend=mend)
    for index, call in enumerate(calls):
        place = f"field '{field}.tool_calls[{index}]'"
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ToolwiseError(f"{place} has no name", mend=mend)
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError as error:
                raise ToolwiseError(f"{place} has arguments that are not JSON: {error}", mend=mend) from error
        if not isinstance(arguments, Mapping):
            raise ToolwiseError(f"{place} has arguments that are not an object", mend=mend)
