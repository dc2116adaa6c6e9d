"""Java and JavaScript literals as Python values, by the rules of BFCL's checker (Patil et al. 2025).

A text that is not the expected literal stays the text that it is: it may be the name of a variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from toolwise.core import ToolwiseError

JAVA_TYPES: dict[str, type] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    **dict.fromkeys(("char", "String", "any"), str),
    **dict.fromkeys(("Array", "ArrayList"), list),
    "boolean": bool,
    "HashMap": dict,
}
"""Java types of the benchmark, and what their values are in Python."""

JAVASCRIPT_TYPES: dict[str, type] = {
    **dict.fromkeys(("integer", "Bigint"), int),
    **dict.fromkeys(("String", "any"), str),
    "float": float,
    "Boolean": bool,
    "dict": dict,
    "array": list,
}
"""The same for JavaScript."""

_INTEGER = re.compile(r"-?\d+$")
_LONG = re.compile(r"(-?\d+)[lL]$")
_BIGINT = re.compile(r"(-?\d+)n$")
_DOUBLE = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$")
_FLOAT = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[fF]$")
_DECIMAL = re.compile(r"-?\d+(?:\.\d+)?$")

_AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
_BY_ADD = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}", re.DOTALL)
_EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
_ADDED = re.compile(r"add\((.+?)\)")
_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{(.*?)\}")
_BY_PUT = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}", re.DOTALL)
_EMPTY_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")
_PUT = re.compile(r"put\(\"(.*?)\",\s*(.*?)\)")

_ROW = r"\[.*?\]\s*"
_ROWS = rf"\s*{_ROW}(?:,\s*{_ROW})*"
_JS_TABLE = re.compile(rf"\[{_ROWS}\]|\bnew\s+Array\({_ROWS}\)")
_JS_LIST = re.compile(r"\[(.*?)\]|\bnew\s+Array\((.*?)\)")
_JS_OBJECT = re.compile(r"\{(.*?)\}")
_JS_PAIR = re.compile(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)")


def java_value(text: str, kind: str, items: str | None = None) -> Any:
    """The value of a Java literal.

    Args:
        text: The literal.
        kind: One of `JAVA_TYPES`.
        items: Kind of the elements of an ``Array`` or ``ArrayList``.

    Raises:
        ToolwiseError: The kind is not known.
    """
    match kind:
        case "byte" | "short" | "integer":
            return int(text) if _INTEGER.match(text) else text
        case "long":
            return int(found[1]) if (found := _LONG.match(text)) else text
        case "float":
            return float(found[1]) if (found := _FLOAT.match(text)) else text
        case "double":
            return float(text) if _DOUBLE.match(text) else text
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case "String" | "any" | "char":
            return text
        case "Array":
            return _java_array(text, items)
        case "ArrayList":
            return _java_list(text, items)
        case "HashMap":
            return _java_map(text)
    raise ToolwiseError(f"the Java type '{kind}' is not known")


def _java_array(text: str, items: str | None) -> Any:
    found = _ARRAY.search(text)
    if found is None:
        return text
    return [_java_item(part.strip(), items) for part in found[1].split(",") if part.strip()]


def _java_list(text: str, items: str | None) -> Any:
    def element(part: str) -> Any:
        quoted = items in ("char", "String")
        return part[1:-1] if quoted else _java_item(part, items)

    if found := _AS_LIST.search(text):
        return [element(part.strip()) for part in found[1].split(",")]
    if found := _BY_ADD.search(text):
        return [element(part.strip()) for part in _ADDED.findall(found[1])]
    return [] if _EMPTY_LIST.search(text) else text


def _java_map(text: str) -> Any:
    if found := _BY_PUT.search(text):
        return {key: _untyped(value.strip(), _java_number) for key, value in _PUT.findall(found[1])}
    return {} if _EMPTY_MAP.search(text) else text


def _java_item(text: str, items: str | None) -> Any:
    return java_value(text, items) if items else _untyped(text, _java_number)


def _java_number(text: str) -> Any:
    if found := _LONG.match(text):
        return int(found[1])
    if found := _FLOAT.match(text):
        return float(found[1])
    return _number(text)


def javascript_value(text: str, kind: str, items: str | None = None) -> Any:
    """The value of a JavaScript literal.

    Args:
        text: The literal.
        kind: One of `JAVASCRIPT_TYPES`.
        items: Kind of the elements of an ``array``.

    Raises:
        ToolwiseError: The kind is not known.
    """
    match kind:
        case "String":
            return text[1:-1] if _quoted(text, "\"'") else text
        case "any":
            return text
        case "integer":
            return int(text) if _INTEGER.match(text) else text
        case "Bigint":
            return int(found[1]) if (found := _BIGINT.match(text)) else text
        case "float":
            return float(text) if _DECIMAL.match(text) else text
        case "Boolean":
            return {"true": True, "false": False}.get(text, text)
        case "array":
            return _javascript_array(text.strip(), items)
        case "dict":
            return _javascript_object(text.strip())
    raise ToolwiseError(f"the JavaScript type '{kind}' is not known")


def _javascript_array(text: str, items: str | None) -> Any:
    if table := _JS_TABLE.match(text):
        rows = [row.strip() for row in re.findall(r"\[(.*?)\]", table[0])]
        # In [[1], [2]] the first row is found with the bracket of the table.
        rows[0] = rows[0].removeprefix("[")
        return [[_untyped(cell.strip()) for cell in row.split(",")] for row in rows]
    found = _JS_LIST.match(text)
    if found is None:
        return text
    inner = (found[1] if found[1] is not None else found[2]).strip()
    cells = [cell.strip() for cell in inner.split(",")] if inner else []
    if not items:
        return [_untyped(cell) for cell in cells]
    # Elements of a kind that the benchmark does not know leave the whole literal as it is.
    return text if items not in JAVASCRIPT_TYPES else [javascript_value(cell, items) for cell in cells]


def _javascript_object(text: str) -> Any:
    if text == "{}":
        return {}
    found = _JS_OBJECT.match(text)
    if found is None:
        return text
    value: dict[str, Any] = {}
    for key, part in _JS_PAIR.findall(found[1]):
        part, name = part.strip(), key.strip().strip("'\"")
        if part.startswith("[") and part.endswith("]"):
            value[name] = _javascript_array(part, None)
        elif part.startswith("{") and part.endswith("}"):
            value[name] = _javascript_object(part)
        else:
            value[name] = _untyped(part.strip("'\"").strip())
    return value


def _untyped(text: str, number: Callable[[str], Any] | None = None) -> Any:
    """A value by its looks: truth value, quoted text, number, or else the text."""
    if text in ("true", "false"):
        return text == "true"
    if _quoted(text, '"' if number is _java_number else "\"'"):
        return text[1:-1]
    return (number or _number)(text)


def _quoted(text: str, quotes: str) -> bool:
    return any(text.startswith(quote) and text.endswith(quote) for quote in quotes)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
