"""What a tool gives back, as text of bounded length."""

from __future__ import annotations

import json
from typing import Any


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


def as_text(result: Any) -> str:
    """Text as it is, nothing for None, JSON for what JSON can hold, ``str()`` of anything else.

    Dataclasses, pydantic models, enums and dates are written as JSON, too.
    """
    if isinstance(result, str):
        return str(result)
    if result is None:
        return ""
    try:
        return json.dumps(result, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError):
        return str(result)


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    if isinstance(value, set | frozenset | bytes) or hasattr(value, "__next__"):
        raise TypeError(f"{type(value).__name__} has no plain form")
    return to_jsonable_python(value)


def _note(missing: int) -> str:
    return f"\n[… {missing} characters left out …]\n"
