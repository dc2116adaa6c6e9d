"""Calls written as text, ``[name(key=value, …), …]``, as in ToolACE's conversations (arXiv 2409.00920)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from toolwise.core import ToolwiseError

_CLOSES = {"(": ")", "[": "]", "{": "}"}
_WORD = re.compile(r"[^\s,()\[\]{}'\"=][^,()\[\]{}'\"=]*")
_MEND = "write [name(key=value, …), …] with values in JSON or as Python literals"


def has_calls(text: str, names: Sequence[str]) -> bool:
    """Whether a text is meant as calls: it begins with a bracket and calls one of the tools."""
    return text.lstrip().startswith("[") and any(f"{name}(" in text for name in names)


def read_calls(text: str, names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a text, as (name, arguments).

    Args:
        text: ``[name(key=value, …), …]``. Names may hold spaces and brackets, as those of public APIs do.
        names: Of the tools; only they can be called, the longest that fits is taken.

    Raises:
        ToolwiseError: It cannot be read, and where.
    """
    text = text.strip()
    known = sorted(names, key=len, reverse=True)
    place = _expect(text, 0, "[")
    calls = []
    while not text.startswith("]", place := _skip(text, place)):
        name = next((name for name in known if text.startswith(f"{name}(", place)), None)
        if name is None:
            raise ToolwiseError(f"no tool is called at {text[place : place + 40]!r}", mend=_MEND)
        arguments, place = _arguments(text, place + len(name) + 1)
        calls.append((name, arguments))
    if text[place + 1 :].strip():
        raise ToolwiseError(f"something stands after the calls: {text[place + 1 : place + 41]!r}", mend=_MEND)
    return calls


def _arguments(text: str, place: int) -> tuple[dict[str, Any], int]:
    arguments: dict[str, Any] = {}
    while not text.startswith(")", place := _skip(text, place)):
        equals = text.find("=", place)
        key = text[place:equals].strip()
        if equals < 0 or not key:
            raise ToolwiseError(f"an argument has no name at {text[place : place + 40]!r}", mend=_MEND)
        end = _value_end(text, equals + 1)
        arguments[key] = _value(text[equals + 1 : end].strip())
        place = end
    return arguments, place + 1


def _value_end(text: str, place: int) -> int:
    """Where the value that begins here ends: at a comma or a bracket of the call itself."""
    open_brackets: list[str] = []
    quote = ""
    while place < len(text):
        char = text[place]
        if quote:
            if char == "\\":
                place += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in _CLOSES:
            open_brackets.append(_CLOSES[char])
        elif open_brackets and char == open_brackets[-1]:
            open_brackets.pop()
        elif not open_brackets and char in ",)":
            return place
        place += 1
    raise ToolwiseError("a call is not closed", mend=_MEND)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(text)  # literals only: nothing is run
        json.dumps(value, allow_nan=False)
        return value
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        if _WORD.fullmatch(text):
            return text  # a word without quotes
        raise ToolwiseError(f"the value {text[:60]!r} cannot be read", mend=_MEND) from error


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _expect(text: str, place: int, char: str) -> int:
    if not text.startswith(char, place):
        raise ToolwiseError(f"{char!r} is missing at {text[place : place + 40]!r}", mend=_MEND)
    return place + len(char)


def _skip(text: str, place: int) -> int:
    while place < len(text) and (text[place].isspace() or text[place] == ","):
        place += 1
    if place >= len(text):
        raise ToolwiseError("a call is not closed", mend=_MEND)
    return place
