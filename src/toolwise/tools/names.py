"""Names that every template can show and every model can write."""

from __future__ import annotations

import re
from collections.abc import Iterable

from toolwise.core import ToolwiseError

MAX_NAME_CHARS = 64
"""The longest name that the usual function-calling interfaces take."""


def writable_name(name: str, prefix: str = "") -> str:
    """The name with ``_`` for what is neither an ASCII letter, nor a digit, nor ``_`` or ``-``.

    Args:
        name: As its source writes it: ``math.add``, ``GET /pets/{id}``.
        prefix: Put in front, for instance ``github_``.

    Returns:
        At most 64 characters.

    Raises:
        ToolwiseError: Nothing is left of it.
    """
    written = name
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        written = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")
    if not written:
        raise ToolwiseError(
            f"no letter or digit of ASCII stands in the tool name '{name[:100]}'", mend="leave this tool out"
        )
    return (prefix + written)[:MAX_NAME_CHARS]


def writable_names(names: Iterable[str], prefix: str = "", *, where: str = "") -> dict[str, str]:
    """For each name how it is written, in the same order.

    Args:
        names: As their source writes them, without repetition.
        prefix: Put in front of each.
        where: The source, for the message.

    Raises:
        ToolwiseError: Two of them would be written alike, or nothing is left of one.
    """
    written: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name in names:
        short = writable_name(name, prefix)
        if short in owner:
            raise ToolwiseError(
                f"the names '{owner[short]}' and '{name}' would both be written '{short}'",
                where=where,
                mend="leave one of them out: list those that you need",
            )
        owner[short] = name
        written[name] = short
    return written
