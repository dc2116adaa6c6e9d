"""Sentences of a text, with their places."""

from __future__ import annotations

import re
from typing import Literal

from toolwise.data.minprompt.extras import need

Splitter = Literal["sentencex", "published"]
LONGEST_PIECE = 20_000
"""Characters that the splitter sees at once; longer texts are cut at a line or a blank first."""
_WORD = re.compile(r"\w+")


def split_sentences(text: str, splitter: Splitter = "sentencex") -> list[tuple[int, str]]:
    """Start and text of each sentence.

    Args:
        text: A paragraph.
        splitter: ``sentencex`` knows abbreviations, decimals and quotations. ``published`` does as the
            release: it splits at every ".", so that "Dr. Smith" and "$3.5" break, drops what stands after the
            last one, and keeps leading blanks.
    """
    if splitter == "published":
        found, start = [], 0
        for piece in text.split(".")[:-1]:
            if piece:
                found.append((start, piece))
            start += len(piece) + 1
        return found
    need("sentencex", "minprompt")
    import sentencex

    found = []
    for offset, piece in _pieces(text):
        place = 0
        for sentence in sentencex.segment("en", piece):
            # The splitter gives its sentences in order; what it leaves out between them is blank.
            place = piece.find(sentence, place)
            bare = sentence.strip()
            if bare:
                found.append((offset + place + len(sentence) - len(sentence.lstrip()), bare))
            place += len(sentence)
    return found


def words(text: str) -> int:
    """How many words a text has."""
    return len(_WORD.findall(text))


def _pieces(text: str) -> list[tuple[int, str]]:
    if len(text) <= LONGEST_PIECE:
        return [(0, text)]
    pieces, start = [], 0
    while start < len(text):
        end = min(len(text), start + LONGEST_PIECE)
        if end < len(text):
            cuts = (text.rfind(mark, start, end) for mark in ("\n", ". ", " "))
            end = next((cut + 1 for cut in cuts if cut > start), end)
        pieces.append((start, text[start:end]))
        start = end
    return pieces
