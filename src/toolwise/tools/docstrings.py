"""What a docstring says of a function and of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def read_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The description (all before the first section) and the description of each argument.

    Args:
        function: Its docstring may be in the style of Google, NumPy, Sphinx or Epydoc.
    """
    from docstring_parser import ParseError, parse

    text = inspect.getdoc(function) or ""
    try:
        found = parse(text)
    except ParseError:
        return " ".join(text.split()), {}
    arguments: dict[str, str] = {}
    for parameter in found.params:
        for name in parameter.arg_name.split(","):  # NumPy style may describe several at once
            arguments.setdefault(name.strip().lstrip("*"), " ".join((parameter.description or "").split()))
    return " ".join((found.description or "").split()), {
        name: text for name, text in arguments.items() if text
    }
