"""Reading one JSON tool call that a policy wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from toolwise.core import ErrorKind, ToolCall


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def malformed(detail: str, name: str = "") -> ToolCall:
    """A call that cannot be read, and why."""
    return ToolCall(name, {}, ErrorKind.MALFORMED_CALL, detail)


def read_object(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value at `start` and where it ends.

    Raises:
        ValueError: There is none (also where it is nested too deeply, or holds half a character).
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character (a lone surrogate)") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos - start}") from error
    return value, end


def as_call(value: Any, keys: tuple[str, ...]) -> ToolCall:
    """The call that a JSON value means.

    Args:
        value: Should be ``{"name": …, "arguments": {…}}``.
        keys: What the arguments may be called; the first is named in the error.
    """
    if not isinstance(value, Mapping):
        return malformed(f'it must be an object {{"name": …, "{keys[0]}": {{…}}}}')
    name = value.get("name")
    if not isinstance(name, str) or not name:
        return malformed("it has no name")
    for key in keys:
        if key in value:
            arguments = value[key]
            break
    else:
        return malformed(f'it has no "{keys[0]}"; write {{}} where there are none', name)
    if not isinstance(arguments, Mapping):
        return malformed(f'"{keys[0]}" must be an object', name)
    return ToolCall(name, arguments)
