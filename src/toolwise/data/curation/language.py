"""In which language, or at least in which script, a text is written."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from toolwise.core import ToolwiseError

_LOOKED_AT = 2000
"""Characters of a text that decide; more change nothing but the time."""


@dataclass(frozen=True, slots=True)
class LanguageGuess:
    """How languages are told, and by what.

    Attributes:
        method: For the card: ``py3langid`` or ``script``.
        of: Language or script of a text; ``none`` where it has no letters.
    """

    method: str
    of: Callable[[str], str]


def identify(by_package: bool) -> LanguageGuess:
    """What tells languages.

    Args:
        by_package: By py3langid, whose model is part of the package; otherwise by script.

    Raises:
        ToolwiseError: The package is not installed.
    """
    if not by_package:
        return LanguageGuess("script", script_of)
    try:
        from py3langid import classify
    except ImportError as error:
        raise ToolwiseError(
            "languages are told by the package py3langid",
            where="identify_language",
            mend="pip install 'toolwise[curation]', or leave it off: then only scripts are told",
        ) from error

    def language(text: str) -> str:
        if script_of(text) == "none":
            return "none"
        return str(classify(text[:_LOOKED_AT])[0])

    return LanguageGuess("py3langid", language)


def script_of(text: str) -> str:
    """The script of most of its letters, as Unicode names it (``latin``, ``cyrillic``, ``cjk`` …)."""
    counts = Counter(
        unicodedata.name(letter, "unknown").split()[0].lower()
        for letter in text[:_LOOKED_AT]
        if letter.isalpha()
    )
    if not counts:
        return "none"
    most = max(counts.values())
    return min(script for script, count in counts.items() if count == most)
