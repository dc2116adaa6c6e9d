"""search: the best passages of a corpus for a query."""

from __future__ import annotations

from toolwise.tools.search_index import SearchIndex
from toolwise.tools.tool import Tool

NOTHING_FOUND = "No passage was found."


def search_tool(index: SearchIndex, top_k: int = 3) -> Tool:
    """The tool ``search(query)``.

    Args:
        index: What is searched.
        top_k: How many passages it gives back, ≥ 1.
    """

    def search(query: str) -> str:
        """Search the encyclopaedia.

        Args:
            query: A few words about what you want to know.
        """
        lines = []
        for number, passage in enumerate(index.search(query, top_k), start=1):
            text = " ".join(passage.text.split())
            lines.append(f"{number}. {passage.title}: {text}" if passage.title else f"{number}. {text}")
        return "\n".join(lines) or NOTHING_FOUND

    # Scoring is one pass over the postings of at most 64 words: short enough for the event loop.
    return Tool.from_function(search, name="search", inline=True)
