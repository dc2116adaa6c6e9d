"""Consistency of an answer with the model's own knowledge: scores that need no model.

The paper's own formula could not be read. What it plots is the cosine of sentence embeddings of the knowledge
and the answer, which is score ``embedding``; ``likelihood`` asks the model to be trained; both are in
`toolwise.systems.nile`. ``words``, here, is the cosine of word counts.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"\w+")


def word_cosine(one: str, other: str) -> float:
    """Cosine of the two texts' word counts, in [0, 1]; 0 where one has no word.

    Words are compared in lower case (NFKC).
    """
    left, right = _counts(one), _counts(other)
    shared = sum(count * right[word] for word, count in left.items())
    norms = math.sqrt(sum(count**2 for count in left.values()) * sum(count**2 for count in right.values()))
    return shared / norms if norms else 0.0


def _counts(text: str) -> Counter[str]:
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
