"""JSON schema of a tool's parameters, from the type hints and the Google docstring of a function."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from toolwise.core import ToolwiseError

SESSION_PARAMETER = "session"
"""A parameter of this name is given the session; the model neither sees nor fills it."""

_SECTION = re.compile(r"^(Args|Arguments|Returns|Raises|Yields|Examples?|Notes?):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def read_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The description (all before the first section) and the description of each argument."""
    description: list[str] = []
    arguments: dict[str, str] = {}
    section, entry, entry_indent = "", "", 0
    for line in (inspect.getdoc(function) or "").splitlines():
        heading = _SECTION.match(line)
        if heading:
            section, entry = heading.group(1), ""
        elif not section:
            description.append(line)
        elif section in ("Args", "Arguments") and line.strip():
            indent = len(line) - len(line.lstrip())
            found = _ENTRY.match(line.strip())
            if found and (not entry or indent <= entry_indent):
                entry, entry_indent = found.group(1), indent
                arguments[entry] = found.group(2)
            elif entry:
                arguments[entry] = f"{arguments[entry]} {line.strip()}"
    return " ".join("\n".join(description).split()), arguments


def takes_session(function: Callable[..., Any]) -> bool:
    """Whether the function has a parameter called ``session``."""
    try:
        return SESSION_PARAMETER in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False  # Some functions written in C have no signature.


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling the function gives a coroutine; objects with an async ``__call__`` count."""
    called = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def parameters_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON schema (an object that allows no other keys) of a function's parameters.

    Args:
        function: Every parameter needs a type hint that pydantic can write as a JSON schema. The function is
            called with plain JSON values; they are checked, not converted.

    Raises:
        ToolwiseError: A parameter has no type hint, or one that has no JSON schema, or is ``*args``.
    """
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    where = f"tool function '{getattr(function, '__name__', function)}'"
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ToolwiseError(
            f"its type hints cannot be read: {error}",
            where=where,
            mend="import the types at the top of the module",
        ) from error
    names, adapters, defaults = [], [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == SESSION_PARAMETER:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolwiseError(
                f"parameter '{name}' cannot be given by name",
                where=where,
                mend="a tool is called with named arguments: no *args, **kwargs or positional-only ones",
            )
        if name not in hints:
            raise ToolwiseError(
                f"parameter '{name}' has no type hint", where=where, mend=f"write '{name}: str'"
            )
        if parameter.default is not parameter.empty:
            defaults[name] = parameter.default
        try:
            adapters.append(TypeAdapter(hints[name]))
        except PydanticUserError as error:
            raise _unwritable(name, hints[name], where) from error
        names.append(name)
    try:
        schemas, shared = TypeAdapter.json_schemas(
            [(name, "validation", adapter) for name, adapter in zip(names, adapters, strict=True)]
        )
    except PydanticUserError as error:
        raise _unwritable(", ".join(names), "…", where) from error
    _, descriptions = read_docstring(function)
    properties: dict[str, Any] = {}
    for name in names:
        properties[name] = _without_titles(schemas[(name, "validation")])
        if name in descriptions:
            properties[name]["description"] = descriptions[name]
        if name in defaults and isinstance(defaults[name], str | int | float | bool):
            properties[name]["default"] = defaults[name]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [name for name in names if name not in defaults]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    if "$defs" in shared:
        schema["$defs"] = {key: _without_titles(value) for key, value in shared["$defs"].items()}
    return schema


def _unwritable(name: str, hint: Any, where: str) -> ToolwiseError:
    return ToolwiseError(
        f"the type of '{name}' ({hint}) has no JSON schema",
        where=where,
        mend="use str, int, float, bool, list, dict, Literal or a pydantic model, or give 'parameters'",
    )


def _without_titles(schema: Any) -> Any:
    """Drop the titles that pydantic makes of names; a *property* called title stays."""
    if not isinstance(schema, Mapping):
        return schema
    cleaned: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title":
            continue
        if key in ("properties", "$defs"):
            cleaned[key] = {name: _without_titles(part) for name, part in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            cleaned[key] = [_without_titles(part) for part in value]
        elif key in ("items", "additionalProperties"):
            cleaned[key] = _without_titles(value)
        else:
            cleaned[key] = value
    return cleaned
