"""JSON schema of a tool's parameters, from the type hints and the docstring of a function."""

from __future__ import annotations

import functools
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.tools.docstrings import read_docstring

SESSION_PARAMETER = "session"
"""A parameter of this name is given the session; the model neither sees nor fills it.

Where it is positional-only (``def f(session, /, **arguments)``), an argument may be called so as well.
"""

_MAX_MESSAGE_CHARS = 300
_PLAIN = (str, float, bool, type(None), Any, object, list, dict)
"""Types whose values are what JSON gives. Not int: JSON schema takes 3.0 for an integer."""


@dataclass(frozen=True)
class Parameters:
    """What is known of a function's parameters.

    Attributes:
        schema: JSON schema, an object that allows no other keys.
        adapters: For each parameter whose type is more than JSON (an enum, a dataclass …), the pydantic
            ``TypeAdapter`` that makes it of what JSON gives.
    """

    schema: dict[str, Any]
    adapters: Mapping[str, Any]


def session_arguments(function: Callable[..., Any], session: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How the function is given the session: by position, by name, or not at all."""
    try:
        parameter = inspect.signature(function).parameters.get(SESSION_PARAMETER)
    except (TypeError, ValueError):
        return (), {}  # Some functions written in C have no signature.
    if parameter is None:
        return (), {}
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return (session,), {}
    return (), {SESSION_PARAMETER: session}


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling the function gives a coroutine; objects with an async ``__call__`` count."""
    called = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling the function gives a generator, sync or async."""
    inner = inspect.unwrap(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def read_parameters(function: Callable[..., Any]) -> Parameters:
    """The parameters of a function, but for ``session``.

    Args:
        function: Every parameter needs a type hint that pydantic can write as a JSON schema.

    Raises:
        ToolwiseError: A parameter has no type hint, or one that has no JSON schema, or is ``*args``.
    """
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    where = f"tool function '{getattr(function, '__name__', function)}'"
    hints = _hints(function, where)
    names, adapters, defaults = [], [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == SESSION_PARAMETER:
            continue
        _check_parameter(parameter, name in hints, where)
        if parameter.default is not parameter.empty:
            defaults[name] = parameter.default
        try:
            adapters.append(TypeAdapter(hints[name]))
        except PydanticUserError as error:
            raise _unwritable(name, hints[name], error, where) from error
        names.append(name)
    try:
        schemas, shared = TypeAdapter.json_schemas(
            [(name, "validation", adapter) for name, adapter in zip(names, adapters, strict=True)]
        )
    except PydanticUserError as error:
        raise _unwritable(", ".join(names), "…", error, where) from error
    _, descriptions = read_docstring(function)
    properties: dict[str, Any] = {}
    for name in names:
        properties[name] = _without_titles(schemas[(name, "validation")])
        if name in descriptions:
            properties[name]["description"] = descriptions[name]
        if name in defaults:
            properties[name] |= _shown_default(defaults[name])
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [name for name in names if name not in defaults]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    if "$defs" in shared:
        schema["$defs"] = {key: _without_titles(value) for key, value in shared["$defs"].items()}
    rich = {
        name: adapter for name, adapter in zip(names, adapters, strict=True) if not _is_plain(hints[name])
    }
    return Parameters(schema, rich)


def converting(
    function: Callable[..., Any], adapters: Mapping[str, Any], refuse: Callable[[str], Exception]
) -> Callable[..., Any]:
    """The function, called with what its type hints promise instead of plain JSON values.

    Args:
        function: Sync or async.
        adapters: See `Parameters`; without any, the function itself is given back.
        refuse: Makes the exception for a value that has no such form, of a message.
    """
    if not adapters:
        return function

    def converted(given: Mapping[str, Any]) -> dict[str, Any]:
        from pydantic import ValidationError

        values = dict(given)
        for name, adapter in adapters.items():
            if name in values:
                try:
                    values[name] = adapter.validate_python(values[name])
                except ValidationError as error:
                    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
                    field = ".".join(str(part) for part in (name, *first["loc"]))
                    raise refuse(f"argument '{field}': {first['msg']}") from error
        return values

    if is_async(function):

        @functools.wraps(function)
        async def called_async(*session: Any, **given: Any) -> Any:
            return await function(*session, **converted(given))

        return called_async

    @functools.wraps(function)
    def called(*session: Any, **given: Any) -> Any:
        return function(*session, **converted(given))

    return called


def arguments_validator(parameters: Mapping[str, Any], where: str) -> Any:
    """A validator of arguments.

    Raises:
        ToolwiseError: The parameters are not a JSON schema.
    """
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    kind = validator_for(parameters, default=Draft202012Validator)
    try:
        kind.check_schema(dict(parameters))
    except SchemaError as error:
        raise ToolwiseError(
            f"its parameters are not a JSON schema: {error.message[:_MAX_MESSAGE_CHARS]}",
            where=where,
            mend='for instance {"type": "object", "properties": {"query": {"type": "string"}}}',
        ) from error
    # An empty registry: a schema never makes the validator fetch another one from the net.
    return kind(dict(parameters), registry=Registry())


def check_fit(function: Callable[..., Any], parameters: Mapping[str, Any], where: str) -> None:
    """Refuse a function that cannot be called with the arguments that a schema describes.

    Raises:
        ToolwiseError: It lacks a parameter of the schema, or needs one that the schema does not require.
    """
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return  # Some functions written in C have no signature.
    named = {
        parameter.name: parameter
        for parameter in taken
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        for name in parameters.get("properties", {}):
            if name not in named:
                raise ToolwiseError(
                    f"the schema has '{name}', which the function does not take",
                    where=where,
                    mend="add it to the function, or let the function take **arguments",
                )
    required = parameters.get("required", ())
    for name, parameter in named.items():
        if name != SESSION_PARAMETER and parameter.default is parameter.empty and name not in required:
            raise ToolwiseError(
                f"the function needs '{name}', which the schema does not require",
                where=where,
                mend="give it a default value, or add it to 'required'",
            )


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    hinted: Any = function
    while isinstance(hinted, functools.partial):
        hinted = hinted.func
    if not isinstance(hinted, type) and not inspect.isroutine(hinted):
        hinted = type(hinted).__call__
    try:
        return typing.get_type_hints(hinted, include_extras=True)
    except (NameError, TypeError) as error:
        raise ToolwiseError(
            f"its type hints cannot be read: {error}",
            where=where,
            mend="import the types at the top of the module",
        ) from error


def _check_parameter(parameter: inspect.Parameter, hinted: bool, where: str) -> None:
    from pydantic.fields import FieldInfo

    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise ToolwiseError(
            f"parameter '{parameter.name}' cannot be given by name",
            where=where,
            mend="a tool is called with named arguments: no *args, **kwargs or positional-only ones",
        )
    if not hinted:
        raise ToolwiseError(
            f"parameter '{parameter.name}' has no type hint",
            where=where,
            mend=f"write '{parameter.name}: str'",
        )
    if isinstance(parameter.default, FieldInfo):
        raise ToolwiseError(
            f"the default of parameter '{parameter.name}' is a pydantic Field",
            where=where,
            mend="write Annotated[TYPE, Field(…)], and the default itself behind '='",
        )


def _is_plain(hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return any(hint is plain for plain in _PLAIN)
    if origin is typing.Literal:
        return all(type(value) in (str, bool, type(None)) for value in arguments)
    if origin in (typing.Union, types.UnionType, list, dict):
        return all(_is_plain(argument) for argument in arguments)
    return False


def _shown_default(default: Any) -> dict[str, Any]:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    if default is None or (isinstance(default, float) and not math.isfinite(default)):
        return {}
    try:
        plain = to_jsonable_python(default)
        json.dumps(plain, allow_nan=False)
    except (PydanticSerializationError, TypeError, ValueError):
        return {}
    return {"default": plain}


def _unwritable(name: str, hint: Any, error: Exception, where: str) -> ToolwiseError:
    why = str(error).splitlines()[0]
    return ToolwiseError(
        f"the type of '{name}' ({hint}) has no JSON schema: {why}",
        where=where,
        mend="use str, int, float, bool, list, dict, Literal, an enum, a dataclass or a pydantic model, "
        "or give 'parameters'",
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
