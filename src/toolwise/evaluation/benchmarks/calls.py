"""Tool calls in what a model wrote: tags with JSON, a JSON list, or a list of Python calls."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from toolwise.core import ToolCall
from toolwise.dialects.call_json import as_call, malformed, read_object

CALL, CALL_END, THINK_END = "<tool_call>", "</tool_call>", "</think>"
_KEYS = ("arguments", "parameters")
_DEPTH = 50


def calls_in_text(text: str) -> tuple[ToolCall, ...] | None:
    """The calls of one turn, those that cannot be read included (with their error).

    Read are, in this order: ``<tool_call>`` tags (one JSON object each, or one a line), a JSON list of
    objects, and a list of Python calls as BFCL's prompts ask for: ``[f(a=1), g(b="x")]``. What stands before
    ``</think>`` is not looked at.

    Returns:
        None if the text is none of these.
    """
    text = text.rpartition(THINK_END)[2]
    if CALL in text:
        return tuple(call for block in text.split(CALL)[1:] for call in _tagged(block.partition(CALL_END)[0]))
    bare = text.strip("`\n ").removeprefix("json").strip()
    if bare.startswith(("[", "{")):
        try:
            value, end = read_object(bare)
        except ValueError:
            pass
        else:
            listed = [value] if isinstance(value, dict) else value
            if end == len(bare) and isinstance(listed, list) and all(isinstance(x, dict) for x in listed):
                return tuple(call_of_record(record) for record in listed)
    return python_calls(text)


def call_of_record(record: Any) -> ToolCall:
    """The call that a record means.

    Args:
        record: ``{"name": …, "arguments": …}`` (or ``parameters``), OpenAI's ``{"function": {…}}`` with
            arguments as an object or as JSON text, or BFCL's ``{name: {argument: value}}``.
    """
    if isinstance(record, Mapping) and isinstance(record.get("function"), Mapping):
        record = record["function"]
    if isinstance(record, Mapping) and len(record) == 1 and isinstance(record.get("name"), Mapping | None):
        ((name, arguments),) = record.items()
        if isinstance(name, str) and isinstance(arguments, Mapping):
            return ToolCall(name, arguments)
    if isinstance(record, Mapping):
        record = dict(record)
        for key in _KEYS:
            if isinstance(record.get(key), str):
                try:
                    record[key] = json.loads(record[key] or "{}")
                except (ValueError, RecursionError) as error:
                    return malformed(f"its arguments are not JSON: {error}", str(record.get("name", "")))
    return as_call(record, _KEYS)


def python_calls(text: str) -> tuple[ToolCall, ...] | None:
    """The calls of ``[f(a=1), g(b="x")]``; brackets, backticks and outer quotes may be missing.

    Nothing is evaluated: names become their text, sums of numbers their value, and positional arguments are
    left out, as the program of BFCL does.

    Returns:
        None if the text is anything else.
    """
    text = text.strip("`\n ")
    text = text if text.startswith("[") else f"[{text}"
    text = text if text.endswith("]") else f"{text}]"
    try:
        body = ast.parse(text.strip().strip("'"), mode="eval").body
        if isinstance(body, ast.Call):
            return (_python_call(body),)
        if not isinstance(body, ast.List | ast.Tuple | ast.Set):
            return None
        if not all(isinstance(element, ast.Call) for element in body.elts):
            return None
        return tuple(_python_call(element) for element in body.elts if isinstance(element, ast.Call))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, ArithmeticError):
        return None


def _tagged(block: str) -> list[ToolCall]:
    block = block.strip()
    try:
        value, end = read_object(block)
        if end == len(block):
            return [call_of_record(record) for record in (value if isinstance(value, list) else [value])]
    except ValueError:
        pass
    calls = []
    for line in filter(None, map(str.strip, block.split("\n"))):
        try:
            value, end = read_object(line)
        except ValueError as error:
            calls.append(malformed(f"a line of {CALL} is not JSON: {error}"))
            continue
        fits = end == len(line)
        calls.append(call_of_record(value) if fits else malformed("there is text after the JSON of a line"))
    return calls


def _python_call(node: ast.Call) -> ToolCall:
    parts: list[str] = []
    function = node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Name):
        parts.append(function.id)
    arguments = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("arguments are unpacked with **")
        arguments[keyword.arg] = _python_value(keyword.value)
    return ToolCall(".".join(reversed(parts)), arguments)


def _python_value(node: ast.expr, depth: int = 0) -> Any:
    if depth > _DEPTH:
        raise ValueError("values are nested too deeply")
    match node:
        case ast.Constant(value=value):
            return "..." if value is Ellipsis else value
        case ast.UnaryOp(operand=ast.Constant(value=value)) if isinstance(value, int | float):
            return -value
        case ast.List(elts=elements):
            return [_python_value(element, depth + 1) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_python_value(element, depth + 1) for element in elements)
        case ast.Dict(keys=keys, values=values):
            if any(key is None for key in keys):
                raise ValueError("a dict is unpacked with **")
            pairs = zip(keys, values, strict=True)
            return {_python_value(k, depth + 1): _python_value(v, depth + 1) for k, v in pairs if k}
        case ast.Name(id=name):
            return name
        case ast.BinOp():
            return _number(node)
        case ast.Call() if node.keywords:
            call = _python_call(node)
            return {call.name: dict(call.arguments)}
        case ast.Call():
            return ast.unparse(node)
        case ast.Subscript(value=value, slice=index):
            return f"{ast.unparse(value)}[{ast.unparse(index)}]"
    raise ValueError(f"{type(node).__name__} is no value")


def _number(node: ast.BinOp) -> Any:
    """The value of a sum of literals; powers and repetitions are bounded."""
    from simpleeval import InvalidExpression, SimpleEval

    evaluator = SimpleEval(functions={})
    evaluator.names = {}
    try:
        return evaluator.eval(ast.unparse(node))
    except InvalidExpression as error:
        raise ValueError(str(error)) from error


def argument_texts(arguments: str) -> dict[str, str]:
    """The arguments of ``key1='…', key2='…'`` as text, quotes inside a value notwithstanding.

    API-Bank writes lists within quotes of the same kind, so a value ends where the next ``, key=`` begins.
    """
    found: dict[str, str] = {}
    places = list(_ARGUMENT.finditer(arguments))
    ends = [place.start() for place in places[1:]] + [len(arguments)]
    for place, end in zip(places, ends[: len(places)], strict=True):
        value = arguments[place.end() : end].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[place.group(1)] = value
    return found


_ARGUMENT = re.compile(r"(?:^|,)\s*(\w+)\s*=\s*(?=['\"\[{\d\-TFN])")
