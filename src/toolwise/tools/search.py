"""search: the best passages of a corpus for a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from toolwise.tools.passages import Passage, Retriever
from toolwise.tools.tool import TIME_LIMIT, Tool

NOTHING_FOUND = "No passage was found."

Layout = Literal["numbered", "search_r1"]


def lay_out(passages: Sequence[Passage], layout: Layout = "numbered") -> str:
    """Passages as the model reads them; `NOTHING_FOUND` where there are none.

    Args:
        passages: Best first.
        layout: ``numbered`` writes a line ``1. title: text`` for each; ``search_r1`` writes
            ``Doc 1(Title: title) text``, as Search-R1 does, and leaves the line breaks of the text.
    """
    lines = []
    for number, passage in enumerate(passages, start=1):
        text = " ".join(passage.text.split())
        if layout == "search_r1":
            lines.append(f"Doc {number}(Title: {passage.title}) {passage.text}")
        else:
            lines.append(f"{number}. {passage.title}: {text}" if passage.title else f"{number}. {text}")
    return "\n".join(lines) or NOTHING_FOUND


def search_tool(
    retriever: Retriever,
    top_k: int = 3,
    *,
    layout: Layout = "numbered",
    inline: bool = True,
    time_limit: float = TIME_LIMIT,
) -> Tool:
    """The tool ``search(query)``.

    Args:
        retriever: What is searched.
        top_k: How many passages it gives back, ≥ 1.
        layout: See `lay_out`.
        inline: Search on the event loop itself, for a retriever that never waits and takes little, as BM25
            does: one pass over the postings of at most 64 words.
        time_limit: Seconds, > 0; where it is not inline.
    """

    def search(query: str) -> str:
        """Search the encyclopaedia.

        Args:
            query: A few words about what you want to know.
        """
        return lay_out([passage for passage, _ in retriever.ranked(query, top_k)], layout)

    return Tool.from_function(search, name="search", inline=inline, time_limit=time_limit)
