"""Questions that read naturally, from a sentence and an entity: the clause is turned around.

What the grammar is not sure of makes no question; the reason is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from toolwise.data.minprompt import grammar_words as known
from toolwise.data.minprompt.clauses import (
    Clause,
    Token,
    Unnatural,
    fronted,
    joins_clause,
    parse_clause,
    without_apposition,
    without_tail,
)
from toolwise.data.minprompt.entities import Entity

_DURATION = re.compile(
    r"\b(days?|weeks?|months?|years?|decades?|centuries|hours?|minutes?|seconds?|weekends?)$", re.IGNORECASE
)
_THINGS = ("ORG", "PRODUCT", "EVENT", "LAW", "WORK_OF_ART", "FAC", "LOC", "GPE", "MISC", "LANGUAGE")
_PLACES = ("GPE", "LOC", "FAC")


def natural_question(sentence: str, answer: Entity, others: Sequence[Entity] = ()) -> str:
    """The question.

    Args:
        sentence: A whole sentence.
        answer: What it asks for; stands in the sentence.
        others: All entities of the sentence: their names keep their capitals.

    Raises:
        Unnatural: None that reads naturally is known.
    """
    if "?" in sentence or "\n" in sentence:
        raise Unnatural("the sentence is a question or has a line break")
    names = {word for entity in others for word in entity.text.split() if entity.label not in _NUMBERS}
    body = sentence.rstrip().rstrip(".!;: ")
    front, offset = fronted(body)
    if front and answer.start < offset:
        return _ask_front(front, parse_clause(body[offset:], ""), answer, names)
    start = answer.start - offset
    body, start = without_apposition(body[offset:], start, len(answer.text))
    whole, body = body, without_tail(body, start + len(answer.text))
    clause = replace(parse_clause(body, front), cut=body != whole)
    place = [
        i
        for i, token in enumerate(clause.tokens)
        if token.end > start and token.start < start + len(answer.text)
    ]
    if not place or clause.tokens[place[0]].start != start:
        raise Unnatural("the answer is part of a longer word")
    first, last = place[0], place[-1] + 1
    if clause.tokens[last - 1].end != start + len(answer.text):
        raise Unnatural("the answer is part of a longer word")
    if first < clause.verb:
        return _ask_subject(clause, first, last, answer)
    return _ask_predicate(clause, first, last, answer, names)


_NUMBERS = ("CARDINAL", "DATE", "MONEY", "ORDINAL", "PERCENT", "QUANTITY", "TIME")


def _ask_subject(clause: Clause, first: int, last: int, answer: Entity) -> str:
    tokens, label = clause.tokens, answer.label
    lead = [token.low for token in tokens[:first]]
    behind = tokens[last : clause.subject]
    if clause.cut and any(token.low in known.SPLITTERS - known.SOFT for token in tokens[clause.verb :]):
        raise Unnatural("a clause in the predicate is cut")
    rest = _said(clause.text[tokens[clause.subject].start :]) + _lower(clause.front)
    if not behind and all(word == "the" for word in lead):
        if label == "PERSON":
            return _done(f"Who {rest}")
        if label == "NORP":
            return _done(f"Who {rest}") if answer.text.endswith("s") else _no("an adjective without its noun")
        if label == "MISC":
            return _done(f"{_of_unknown(answer, bool(lead))} {rest}")
        if label in _THINGS:
            return _done(f"What {rest}")
        raise Unnatural("a number or a date is the subject")
    nouns = [token.text for token in behind]
    if label == "PERSON" and not lead and _possessive(clause.text[answer_end(tokens, last) :]):
        raise Unnatural("the answer owns the subject")
    if label == "CARDINAL" and all(word in known.ABOUT for word in lead) and nouns and _plain_words(behind):
        return _done(f"How many {' '.join(nouns)} {rest}")
    if label == "PERCENT" and all(word in known.ABOUT for word in lead) and nouns[:1] == ["of"]:
        return _done(f"What percentage {_said(clause.text[behind[0].start : behind[-1].end])} {rest}")
    raise Unnatural("the answer is a part of the subject")


def answer_end(tokens: Sequence[Token], last: int) -> int:
    """Where the answer ends in the clause."""
    return tokens[last - 1].end


def _possessive(text: str) -> bool:
    return text.startswith(("'s", "’s"))


def _ask_predicate(clause: Clause, first: int, last: int, answer: Entity, names: set[str]) -> str:
    tokens, label = clause.tokens, answer.label
    between = tokens[clause.verb + 1 : first]
    marks = {token.text for token in between if not token.text[0].isalnum() and token.text[0] not in "$€£"}
    if joins_clause(between) or marks - {"'", "’", '"', "“", "”", "%"}:
        raise Unnatural("another clause stands before the answer")
    before = first - 1
    if tokens[before].low in known.TRANSPARENT and before > clause.verb:
        before -= 1
    if label == "CARDINAL":
        return _ask_count(clause, before, last, names)
    if label == "PERCENT" and last < len(tokens) and tokens[last].low == "of":
        tail = clause.text[tokens[last].start :]
        if before == clause.verb and not any(token.low in known.SPLITTERS for token in tokens[last:]):
            return _done(f"What percentage {tail} {_inverted(clause, clause.verb + 1, names)}")
        raise Unnatural("the share is not what the verb takes")
    tail = _tail(clause, last)
    word = tokens[before].low
    if word in known.PREPOSITIONS and before > clause.verb:
        return _ask_preposition(clause, before, answer, tail, names)
    if (
        before != clause.verb
        and not known.forms(word) & {"participle", "past"}
        and word not in _INFINITIVE_OK(tokens, before)
    ):
        raise Unnatural("the answer is a part of a longer phrase")
    wh = {
        "PERSON": "Who",
        "MONEY": "How much",
        "QUANTITY": "How much",
        "PERCENT": "What percentage",
        "MISC": _of_unknown(answer, tokens[first - 1].low in ("the", "a", "an")),
    }.get(label)
    if label in ("DATE", "TIME"):
        if not _DURATION.search(answer.text):
            raise Unnatural("a date without its preposition")
        wh = "How long"
        if known.lemma(tokens[before].low) not in ("last", "take", "live", "be", "wait", "spend"):
            raise Unnatural("a length of time that the verb does not take")
    elif label == "MONEY" and known.lemma(tokens[before].low) not in (
        "cost",
        "pay",
        "earn",
        "raise",
        "spend",
        "receive",
        "generate",
        "invest",
        "donate",
        "be",
        "win",
    ):
        raise Unnatural("an amount that the verb does not take")
    elif label in ("ORDINAL", "NORP", "QUANTITY", "PERCENT"):
        raise Unnatural(f"{label} as an object")
    if tail and tokens[before].low in ("called", "named", "known"):
        raise Unnatural("the sentence goes on behind a name that it gives")
    if wh is None:
        if label not in _THINGS:
            raise Unnatural(f"no question word for {label}")
        wh = "What"
    return _done(f"{wh} {_inverted(clause, before + 1, names)}{tail}{_lower(clause.front)}")


def _INFINITIVE_OK(tokens: Sequence[Token], before: int) -> set[str]:  # noqa: N802
    """The word itself, if it is a plain verb after "to" or a modal."""
    word = tokens[before]
    governed = tokens[before - 1].low == "to" or tokens[before - 1].low in known.MODALS
    return {word.low} if governed and "plain" in known.forms(word.low) else set()


def _ask_count(clause: Clause, before: int, last: int, names: set[str]) -> str:
    tokens = clause.tokens
    while before > clause.verb and tokens[before].low in known.ABOUT | {"than", "more", "least", "at", "to"}:
        before -= 1
    if before != clause.verb and not known.forms(tokens[before].low) & {"participle"}:
        raise Unnatural("the number is not what the verb takes")
    end = last
    while end < len(tokens) and end < last + 4 and tokens[end].text.replace("-", "").isalpha():
        if tokens[end].low in known.PREPOSITIONS | known.SPLITTERS or known.forms(tokens[end].low) & {
            "be",
            "have",
            "modal",
        }:
            break
        end += 1
    nouns = tokens[last:end]
    if (
        not nouns
        or not nouns[-1].low.endswith(("s", "people", "men", "women", "children"))
        or not _plain_words(nouns)
    ):
        raise Unnatural("a number without what it counts")
    rest = clause.text[tokens[end].start :] if end < len(tokens) else ""
    if joins_clause(tokens[end:]):
        raise Unnatural("another clause follows the answer")
    counted = " ".join(token.text for token in nouns)
    if clause.form == "be" and before == clause.verb and tokens[0].low != "there":
        raise Unnatural("a number as a complement")
    return _done(f"How many {counted} {_inverted(clause, before + 1, names)} {rest}{_lower(clause.front)}")


def _ask_preposition(clause: Clause, before: int, answer: Entity, tail: str, names: set[str]) -> str:
    tokens, label, word = clause.tokens, answer.label, clause.tokens[before].low
    turned = _inverted(clause, before, names)
    front = _lower(clause.front)
    # A question for a time or a place needs no preposition; what remains must be whole without it.
    if (
        before == clause.verb + 1
        and clause.form in ("be", "have", "do", "modal")
        and word not in ("in", "at", "on", "from")
    ):
        raise Unnatural("nothing is left of the predicate")
    if (
        label == "DATE"
        and not _DURATION.search(answer.text)
        and word in ("in", "on", "during", "around", "at")
    ):
        return _done(f"When {turned}{tail}{_no_time(front)}")
    if label in ("DATE", "TIME") and _DURATION.search(answer.text) and word == "for":
        return _done(f"For how long {turned}{tail}{front}")
    governed = known.forms(tokens[before - 1].low) and (before - 1 >= clause.verb)
    if label in _PLACES and word in ("in", "at", "near", "on"):
        if (
            not governed
            and known.is_noun(tokens[before - 1].low)
            and clause.form == "be"
            and before > clause.verb + 1
        ):
            raise Unnatural("the place belongs to a noun")
        return _done(f"Where {turned}{tail}{front}")
    if label == "LANGUAGE" and word in ("in", "into"):
        return _done(f"{word.capitalize()} what language {turned}{tail}{front}")
    if not governed:
        raise Unnatural("the answer belongs to a noun before it")
    wh = {"PERSON": "Who", "MISC": _of_unknown(answer, False)}.get(label, "What" if label in _THINGS else "")
    if not wh or word in ("after", "before", "since", "until", "during", "as", "of"):
        raise Unnatural(f"no question for {label} after a preposition like this")
    if tail and not (label in _PLACES and word == "to"):
        raise Unnatural("the sentence goes on behind a preposition and its answer")
    if clause.form == "be" and any(t.low in known.DETERMINERS for t in tokens[clause.verb + 1 : before]):
        raise Unnatural("the preposition belongs to a noun of the predicate")
    if label in _PLACES and word in ("from", "to"):
        return _done(
            f"Where {turned} {word}{tail}{front}" if word == "from" else f"Where {turned}{tail}{front}"
        )
    return _done(f"{wh} {turned} {word}{tail}{front}")


def _ask_front(front: str, clause: Clause, answer: Entity, names: set[str]) -> str:
    opening = re.fullmatch(r"(In|On|At|During|Around)\s+(?:the\s+)?(.*)", front)
    if opening is None or opening[2] != answer.text:
        raise Unnatural("the answer is a part of the opening phrase")
    if answer.label == "DATE" and not _DURATION.search(answer.text):
        wh = "When"
    elif answer.label in _PLACES:
        wh = "Where"
    else:
        raise Unnatural(f"no question for {answer.label} in front")
    body = without_tail(clause.text, clause.tokens[clause.verb].end)
    end = len([token for token in clause.tokens if token.end <= len(body)])
    if joins_clause(clause.tokens[clause.verb : end]):
        raise Unnatural("the predicate holds a clause")
    return _done(f"{wh} {_inverted(clause, end, names)}")


def _inverted(clause: Clause, end: int, names: set[str]) -> str:
    """Auxiliary, subject, and the predicate up to the token `end`."""
    tokens = clause.tokens
    subject = _subject(clause, names)
    adverbs = clause.text[tokens[clause.subject].start : tokens[clause.verb].start].strip()
    following = [token for token in tokens[clause.verb + 1 : end] if not known.is_adverb(token.low)]
    verb = tokens[clause.verb].low
    after = (
        clause.text[tokens[clause.verb].end : tokens[end - 1].end].strip() if end > clause.verb + 1 else ""
    )
    auxiliary = clause.form in ("be", "modal")
    if clause.form == "have":
        auxiliary = (bool(following) and "participle" in known.forms(following[0].low)) or (
            bool(following) and following[0].low == "been"
        )
    if clause.form == "do":
        auxiliary = bool(following) and "plain" in known.forms(following[0].low)
    if auxiliary:
        return " ".join(part for part in (verb, subject, adverbs, after) if part)
    if clause.form in ("past", "have", "do") and verb not in ("has", "have", "do", "does"):
        helper = "did"
    else:
        helper = "does" if clause.form == "third" or verb in ("has", "does") else "do"
    return " ".join(part for part in (helper, subject, adverbs, known.lemma(verb), after) if part)


def _subject(clause: Clause, names: set[str]) -> str:
    tokens = clause.tokens
    text = clause.text[tokens[0].start : tokens[clause.subject - 1].end]
    first = tokens[0]
    # A name that is a word as well ("Tesla") keeps its capital where it stands alone.
    common = known.is_common(first.low) and (
        first.low.endswith("s") if clause.subject == 1 else tokens[1].text == tokens[1].low
    )
    if first.low in known.DETERMINERS or (first.text not in names and common):
        return text[:1].lower() + text[1:]
    return text


def _tail(clause: Clause, last: int) -> str:
    """What follows the answer, where it belongs to the verb."""
    tokens = clause.tokens
    if last >= len(tokens):
        return ""
    if tokens[last].low not in known.TAIL:
        raise Unnatural("the answer goes on behind its name")
    if joins_clause(tokens[last:]):
        raise Unnatural("another clause follows the answer")
    return " " + clause.text[tokens[last].start :]


def _plain_words(tokens: Sequence[Token]) -> bool:
    return all(token.text.replace("-", "").isalpha() and token.low not in known.SPLITTERS for token in tokens)


def _lower(front: str) -> str:
    return f" {front[:1].lower()}{front[1:]}" if front else ""


def _no_time(front: str) -> str:
    """A fronted phrase beside "when": two times in one question would not read."""
    return "" if re.search(r"\d", front) else front


def _said(text: str) -> str:
    return text.strip().rstrip(",;: ")


def _of_unknown(answer: Entity, article: bool) -> str:
    """The question word for a name of unknown type: a thing, if it is a word with an article."""
    return "What" if article and known.is_noun(answer.text.split()[-1].lower()) else "Who or what"


def _no(reason: str) -> str:
    raise Unnatural(reason)


def _done(text: str) -> str:
    clean = re.sub(r"\s+([,.;])", r"\1", " ".join(text.split())).rstrip(" ,.;:")
    clean = re.sub(r"[.,]([\"”])", r"\1", clean)
    if clean.count("(") != clean.count(")"):
        raise Unnatural("a bracket is left open")
    if clean.count('"') % 2 or clean.count("“") != clean.count("”"):
        raise Unnatural("a quotation is left open")
    words = clean.split()
    vague = not any(character.isupper() or character.isdigit() for character in clean[1:])
    if (
        len(words) < 4
        or (vague and len(words) < 6)
        or {"there", "here", "it", "this", "him", "them"} & set(words)
    ):
        raise Unnatural("too little is left to ask")
    return clean[:1].upper() + clean[1:] + "?"
