"""The main clause of a sentence, taken apart: fronted phrase, subject, finite verb.

What is not sure is refused; the reason is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from toolwise.data.minprompt import grammar_words as known

_TOKEN = re.compile(r"(?:[A-Z]\.){2,}|[$€£]?\w+(?:[-'’.,/]\w+)*%?|[^\w\s]")
_FRONTED = re.compile(
    r"^(In|On|At|During|By|After|Before|Since|From|Under|As|For|Following|With|Around|Throughout|Through|Until)\b"
)


class Unnatural(Exception):  # noqa: N818 - it is an outcome, no error
    """No natural question is known; the text says why, in words that are equal for equal causes."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a mark: its text, its lower-case text, and its place in the clause."""

    text: str
    low: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Clause:
    """The main clause of a sentence, taken apart.

    Attributes:
        text: The clause.
        tokens: Its words.
        subject: Number of tokens before the verb, adverbs aside.
        verb: Index of the finite verb.
        form: What it is.
        front: What stood before the subject with a comma: "in 1905".
        cut: Whether something that hung on the clause was cut off.
    """

    text: str
    tokens: tuple[Token, ...]
    subject: int
    verb: int
    form: known.Form
    front: str
    cut: bool = False


def fronted(body: str) -> tuple[str, int]:
    """A fronted phrase and where the clause begins after it."""
    comma = body.find(", ")
    if comma < 0 or comma > 60:
        return "", 0
    head = body[:comma]
    tokens = [token.low for token in tokens_of(head)]
    if _FRONTED.match(head) and not any(
        known.forms(word) & {"be", "have", "modal", "past"} for word in tokens[1:]
    ):
        return head, comma + 2
    if len(tokens) <= 3 and all(known.is_adverb(word) or word in _OPENERS for word in tokens):
        return "", comma + 2
    return "", 0


_OPENERS = {"however", "in", "addition", "for", "example", "instance", "therefore", "meanwhile",
"additionally",
            "moreover", "furthermore", "today", "thus", "instead", "nevertheless", "overall", "also",
            "then", "as",
            "a", "result", "fact"}  # fmt: skip


_APPOSITION = re.compile(r"^([A-Z][^,]{1,60}), ([^,]{2,120}), (?=([a-z]+)\b)")


def without_apposition(body: str, start: int, length: int) -> tuple[str, int]:
    """Without what is said of the subject between commas, and where the answer then stands."""
    found = _APPOSITION.match(body)
    if found is None or not known.forms(found[3]) & {"be", "have", "do", "modal", "past", "third"}:
        return body, start
    inside = range(found.end(1), found.end())
    if start in inside or start + length - 1 in inside:
        raise Unnatural("the answer stands between commas")
    shorter = found[1] + " " + body[found.end() :]
    return shorter, start if start < found.end(1) else start - (found.end() - found.end(1) - 1)


def joins_clause(tokens: Sequence[Token]) -> bool:
    """Whether a clause begins in these words; words that only join words do not count."""
    for index, token in enumerate(tokens):
        if token.low in known.SPLITTERS - known.SOFT:
            return True
        if token.low in known.SOFT and any(
            known.forms(later.low) & {"be", "have", "do", "modal", "past"} for later in tokens[index + 1 :]
        ):
            return True
    return False


def without_tail(body: str, answer_end: int) -> str:
    """Without what hangs on the clause behind the answer: after a comma, a semicolon, a dash, a bracket."""
    cut = re.search(r"\s*(,\s|;|:\s|\s[–—-]\s|\()", body[answer_end:])
    return body[: answer_end + cut.start()] if cut else body


def tokens_of(text: str) -> list[Token]:
    """Words and marks of a text."""
    return [Token(m.group(), m.group().lower(), m.start(), m.end()) for m in _TOKEN.finditer(text)]


def parse_clause(text: str, front: str) -> Clause:
    """The clause of a text, see `Clause`; `front` is what stood before it.

    Raises:
        Unnatural: Subject or verb is not clear.
    """
    tokens = tuple(tokens_of(text))
    if len(tokens) < 3:
        raise Unnatural("the sentence is too short")
    verb, form = finite_verb(tokens)
    subject = verb
    while subject > 0 and known.is_adverb(tokens[subject - 1].low) and subject > 1:
        subject -= 1
    words = tokens[:subject]
    if not 1 <= len(words) <= 9:
        raise Unnatural("the subject is missing or long")
    if words[0].low in known.PRONOUNS and len(words) == 1:
        raise Unnatural("the subject is a pronoun")
    pointing = known.POSSESSIVES | {"this", "these", "that", "those", "such"}
    if pointing & {token.low for token in words} or words[0].low in ("another", "other", "both"):
        raise Unnatural("the subject points elsewhere")
    if words[0].low in known.PREPOSITIONS or words[0].low in known.SPLITTERS:
        raise Unnatural("the sentence does not begin with its subject")
    marks = {token.text for token in words if not token.text[0].isalnum() and token.text[0] not in "$€£"}
    if marks - {".", "&"} or any(
        token.low in known.SPLITTERS - {"and"} or token.low == "to" for token in words
    ):
        raise Unnatural("the subject is a clause or a list")
    if words[-1].low in known.PREPOSITIONS | known.DETERMINERS | {"and"}:
        raise Unnatural("the verb is not clear")
    near = tokens[max(0, verb - 1) : verb + 4]
    if any(
        token.low in ("not", "never", "neither", "nor") or token.low.endswith(("n't", "n’t"))
        for token in near
    ):
        raise Unnatural("the sentence is negated")
    return Clause(text, tokens, subject, verb, form, front)


def finite_verb(tokens: Sequence[Token]) -> tuple[int, known.Form]:
    """The first finite verb; a form that may be a participle or a noun needs more signs."""
    for index, token in enumerate(tokens[:14]):
        if index == 0 or token.text != token.low:
            continue
        found = known.forms(token.low)
        sure = found & {"be", "have", "do", "modal"}
        if sure:
            return index, next(iter(sure))
        if "past" in found and ("participle" not in found or _finite(tokens, index)):
            return index, "past"
        before, after = tokens[index - 1], tokens[index + 1].low if index + 1 < len(tokens) else ""
        opens = after in known.DETERMINERS | known.PREPOSITIONS | known.POSSESSIVES or known.is_adverb(after)
        noun = known.is_noun(token.low)
        if "third" in found and (not noun or (opens and after != "of" and not before.low.endswith("s"))):
            return index, "third"
        plain = after in known.DETERMINERS | known.POSSESSIVES | known.TAIL
        if "plain" in found and before.low.endswith("s") and plain and (not noun or _finite(tokens, index)):
            return index, "plain"
        if "participle" in found and "past" not in found:
            raise Unnatural("the verb is not clear")
    raise Unnatural("no verb is recognised")


def _finite(tokens: Sequence[Token], index: int) -> bool:
    """Whether a form like "built" is the verb: no other one follows before the clause ends."""
    if tokens[index - 1].low in known.DETERMINERS:
        return False
    for token in tokens[index + 1 :]:
        if token.text in (",", ";", ":") or token.low in known.SPLITTERS:
            return True
        found = known.forms(token.low)
        if found & {"be", "have", "do", "modal"} or ("past" in found and "participle" not in found):
            return False
    return True
