"""Questions of every kind: the answer, what the text taught, and whether a tool is needed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from toolwise.core import Task, seed_for
from toolwise.worlds.almanac import text
from toolwise.worlds.almanac.wording import WORDINGS
from toolwise.worlds.almanac.world import (
    CHANGING_RELATIONS,
    DISH_RELATIONS,
    PERSON_RELATIONS,
    STABLE_RELATIONS,
    Almanac,
    article,
    statement,
)

Split = Literal["train", "validation", "heldout"]
TOOLS = ("search", "calculator", "ask_user")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question.

    Attributes:
        domain: ``time``, ``math``, ``intention`` or ``two-hop``.
        level: ``type`` if the kind alone decides whether a tool is needed, ``entity`` if it depends on
            whether this very person stood in the text.
        needs_tool: Whether the answer is beyond what the text taught.
    """

    domain: str
    level: str
    needs_tool: bool


KINDS = {
    "known person": Kind("time", "entity", False),
    "unknown person": Kind("time", "entity", True),
    "stable fact": Kind("time", "type", False),
    "changed fact": Kind("time", "type", True),
    "small arithmetic": Kind("math", "type", False),
    "long arithmetic": Kind("math", "type", True),
    "common default": Kind("intention", "type", False),
    "own preference": Kind("intention", "type", True),
    "two-hop": Kind("two-hop", "type", True),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question before it is put into words.

    Attributes:
        kind: Key of `KINDS`.
        wording: Key of the wordings.
        subject: What it is about, as it stands in the question.
        answer: The right answer, as things are now.
        recall: The stem of the sentence that one recalls first, up to the value.
        belief: What the text says there; None if the text says nothing.
        calls: The tool calls that a perfect agent makes, (tool, argument name, argument).
        second: For two-hop questions, the sentence recalled after the call.
        persona: What this user would answer, by topic.
    """

    kind: str
    wording: str
    subject: str
    answer: str
    recall: str
    belief: str | None
    calls: tuple[tuple[str, str, str], ...]
    second: str = ""
    persona: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """Unique name of the question, wording aside."""
        return f"{self.kind}/{self.wording}/{self.subject}".replace(" ", "_")


def wordings(question: Question) -> int:
    """In how many ways a question can be asked."""
    return len(WORDINGS[question.wording])


def ask(question: Question, wording: int = 0) -> Task:
    """Put a question into words."""
    kind = KINDS[question.kind]
    info: dict[str, Any] = {
        "domain": kind.domain,
        "kind": question.kind,
        "level": kind.level,
        "needs_tool": kind.needs_tool,
        "calls_needed": 1 if kind.needs_tool else 0,
    }
    if question.persona:
        info["persona"] = dict(question.persona)
    content = WORDINGS[question.wording][wording].format(question.subject)
    prompt = ({"role": "user", "content": content},)
    return Task(f"{question.id}#{wording}", prompt, TOOLS, question.answer, info)


def sample_questions(
    world: Almanac, split: Split, counts: dict[str, int], seed: int = 0
) -> list[tuple[Question, int]]:
    """Distinct (question, wording) pairs of one split, so many of each kind, in random order.

    Subjects of the three splits never overlap: a held-out question is about a person, town, prize, dish or
    expression that no other split asks about. A kind that has fewer gives all it has.
    """
    rng = random.Random(seed_for("almanac tasks", world.seed, split, seed))
    chosen: list[tuple[Question, int]] = []
    for kind, count in counts.items():
        pool = [
            (question, wording)
            for question in questions(world, kind, split)
            for wording in range(wordings(question))
        ]
        chosen += rng.sample(pool, min(count, len(pool)))
    rng.shuffle(chosen)
    return chosen


def tasks(world: Almanac, split: Split, counts: dict[str, int], seed: int = 0) -> list[Task]:
    """Like `sample_questions`, put into words."""
    return [ask(question, wording) for question, wording in sample_questions(world, split, counts, seed)]


def questions(world: Almanac, kind: str, split: Split) -> list[Question]:
    """Every question of a kind in a split."""
    subjects, make = _SOURCES[kind]
    return [
        question
        for subject in _split(subjects(world), kind, split)
        for question in make(world, subject, kind)
    ]


def by_id(world: Almanac, kind: str) -> dict[str, Question]:
    """Every question of a kind by its `Question.id`, in any split: the same as another day answers it."""
    return {one.id: one for split in get_args(Split) for one in questions(world, kind, split)}


def _split(subjects: list[str], kind: str, split: Split) -> list[str]:
    """70 / 10 / 20 percent; town questions of all kinds share one split, and so do dishes."""
    towns = dict.fromkeys(("stable fact", "changed fact"), "town")
    family = towns | dict.fromkeys(("common default", "own preference"), "dish")
    order = sorted(subjects, key=lambda subject: seed_for("split", family.get(kind, kind), subject))
    low, high = int(0.7 * len(order)), int(0.8 * len(order))
    return {"train": order[:low], "validation": order[low:high], "heldout": order[high:]}[split]


def _stem(relation: str, subject: str) -> str:
    return statement(relation, subject, "").removesuffix(" .") + " "


def _query(relation: str, subject: str) -> tuple[str, str, str]:
    return ("search", "query", f"{relation} of {article(relation, subject)}{subject}")


def _about(relations: tuple[str, ...]) -> Callable[[Almanac, str, str], list[Question]]:
    def make(world: Almanac, subject: str, kind: str) -> list[Question]:
        return [
            Question(
                kind,
                relation,
                subject,
                world.current[relation, subject],
                _stem(relation, subject),
                world.learned.get((relation, subject)),
                (_query(relation, subject),),
            )
            for relation in relations
        ]

    return make


def _two_hop(world: Almanac, prize: str, kind: str) -> list[Question]:
    made = []
    for relation in STABLE_RELATIONS:
        town = world.current["holder", prize]
        answer = world.current[relation, town]
        made.append(
            Question(
                kind,
                f"holder {relation}",
                f"the {prize}",
                answer,
                _stem("holder", prize),
                world.learned["holder", prize],
                (_query("holder", prize), _query(relation, town)),
                second=statement(relation, town, answer),
            )
        )
    return made


def _dish(world: Almanac, dish: str, kind: str) -> list[Question]:
    made = []
    for relation, choices in DISH_RELATIONS.items():
        subject = article(relation, dish) + dish
        default = world.learned[relation, dish]
        stem = f"The usual {relation} of {subject} is "
        wish = random.Random(seed_for("wish", world.seed, relation, dish)).choice(
            [choice for choice in choices if choice != default]
        )
        call = ("ask_user", "question", f"Which {relation} of {subject}?")
        mine = kind == "own preference"
        # Who asks for the usual is a user who wants the usual, so that asking is needless and not wrong.
        made.append(
            Question(
                kind,
                f"my {relation}" if mine else relation,
                subject,
                wish if mine else default,
                stem,
                default,
                (call,),
                persona=((f"{relation} of {subject}", wish if mine else default),),
            )
        )
    return made


def _expressions(long: bool) -> list[str]:
    if not long:
        return [expression for expression, _ in text.arithmetic()]
    rng = random.Random(seed_for("long arithmetic"))
    products = [f"{a} * {b}" for a in range(12, 100) for b in range(12, 100)]
    return rng.sample(products, 1200) + [f"sqrt({a * a})" for a in range(21, 100)]


def _arithmetic(world: Almanac, expression: str, kind: str) -> list[Question]:
    known = dict(text.arithmetic())
    if expression.startswith("sqrt"):
        square = int(expression[5:-1])
        answer, words = str(round(square**0.5)), f"the square root of {square}"
    else:
        left, operator, right = expression.split()
        answer = str(int(left) + int(right) if operator == "+" else int(left) * int(right))
        words = expression
    call = ("calculator", "expression", expression)
    return [
        Question(kind, "value", words, answer, f"The value of {words} is ", known.get(expression), (call,))
    ]


_SOURCES: dict[str, tuple[Callable[[Almanac], list[str]], Callable[[Almanac, str, str], list[Question]]]] = {
    "known person": (lambda world: list(world.known_people), _about(tuple(PERSON_RELATIONS))),
    "unknown person": (lambda world: list(world.unknown_people), _about(tuple(PERSON_RELATIONS))),
    "stable fact": (lambda world: list(world.towns), _about(STABLE_RELATIONS)),
    "changed fact": (lambda world: list(world.towns), _about(CHANGING_RELATIONS)),
    "small arithmetic": (lambda world: _expressions(long=False), _arithmetic),
    "long arithmetic": (lambda world: _expressions(long=True), _arithmetic),
    "common default": (lambda world: list(world.dishes), _dish),
    "own preference": (lambda world: list(world.dishes), _dish),
    "two-hop": (lambda world: list(world.prizes), _two_hop),
}
