"""A thought at the beginning of a turn, in ``<think>`` tags, for chat templates that know no thoughts."""

from __future__ import annotations

from toolwise.core import ToolwiseError

THINK, THINK_END = "<think>", "</think>"


def split_thought(text: str) -> tuple[str, str]:
    """The thought that a turn begins with, and what comes after it; an unclosed one takes all."""
    start = text.lstrip()
    if not start.startswith(THINK):
        return "", text
    thought, _, rest = start.removeprefix(THINK).partition(THINK_END)
    return thought.strip(), rest


def thought_text(thought: str) -> str:
    """A thought as it is written in front of a turn; nothing where there is none.

    Raises:
        ToolwiseError: The thought holds a tag itself.
    """
    if THINK in thought or THINK_END in thought:
        raise ToolwiseError(
            f"a thought holds the tag {THINK} or {THINK_END}", mend="take the tags out of 'reasoning_content'"
        )
    return f"{THINK}\n{thought}\n{THINK_END}\n\n" if thought else ""
