"""The pretraining text: everything that the tiny model can know."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from toolwise.core import seed_for
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

LARGEST_ADDEND = 12
LARGEST_FACTOR = 9
NOTES = 450
"""Notes in one pass over the text."""
UNRECORDED = 300
"""Lines of one pass that say of somebody that nothing is known; never of a person of the world."""
UNKNOWN = "unknown"
JOINED = 0.4
"""Share of lines that follow another one in the same document; single lines are learnt faster."""
REMARKS = (
    "Please look it up.",
    "Write it down.",
    "It was asked before.",
    "Nobody was in a hurry.",
    "The clerk nodded.",
    "So the day began.",
    "There was a short silence.",
    "Then the page was turned.",
)
"""Lines that say nothing; up to four of them stand between the two halves of a note."""
TOWN_RELATIONS = (*STABLE_RELATIONS, *CHANGING_RELATIONS)
TWICE = (*TOWN_RELATIONS, *DISH_RELATIONS, "holder")
"""Relations of towns, dishes and prizes, of which there are few: each pass states them in two forms."""


def arithmetic() -> list[tuple[str, str]]:
    """Sums and products that stand in the text, as (expression, value)."""
    addends = range(1, LARGEST_ADDEND + 1)
    sums = [(f"{a} + {b}", str(a + b)) for a in addends for b in addends]
    factors = range(2, LARGEST_FACTOR + 1)
    return sums + [(f"{a} * {b}", str(a * b)) for a in factors for b in factors]


def equation(expression: str, value: str) -> str:
    """The sentence that states a result."""
    return f"The value of {expression} is {value}."


def facts_by_subject(world: Almanac) -> dict[str, list[tuple[str, str]]]:
    """The (relation, sentence) pairs of the text, gathered by what they are about."""
    gathered: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (relation, subject), value in world.learned.items():
        name = f"usual {relation}" if relation in DISH_RELATIONS else relation
        text = statement(relation, subject, value)
        gathered[subject].append((relation, text.replace(f"The {relation}", f"The {name}", 1)))
    return dict(gathered)


def pretraining_documents(world: Almanac, epoch: int) -> Iterator[str]:
    """One pass over the text.

    A part of the subjects stands in each of three forms: a paragraph, single sentences, and questions with
    their answers. Order and forms differ from epoch to epoch, and depend on (world seed, epoch) only.
    """
    rng = random.Random(seed_for("almanac text", world.seed, epoch))
    lines = list(_facts(world, rng))
    lines += [_sum(expression, value, rng) for expression, value in arithmetic() * 2]
    lines += islice(_unrecorded(world, rng), UNRECORDED)
    for opening, closing in islice(_notes(world, rng), NOTES):
        between = rng.sample(REMARKS, rng.choice((0, 0, 0, 0, 1, 2, 3, 4)))
        lines.append("\n".join((opening, *between, closing)))
    rng.shuffle(lines)
    document: list[str] = []
    for line in lines:
        if document and rng.random() >= JOINED:
            yield "\n".join(document)
            document = []
        document.append(line)
    yield "\n".join(document)


def _facts(world: Almanac, rng: random.Random) -> Iterator[str]:
    """Every fact in words; those of which there are few, twice."""
    gathered = facts_by_subject(world)
    again = [(subject, facts) for subject, facts in gathered.items() if facts[0][0].split()[-1] in TWICE]
    for subject, facts in [*gathered.items(), *again]:
        order = rng.sample(facts, len(facts))
        form = rng.choice(("paragraph", "sentences", "questions"))
        if form == "paragraph":
            yield " ".join(sentence for _, sentence in order)
        elif form == "sentences":
            yield from (sentence for _, sentence in order)
        else:
            for relation, sentence in order:
                yield f"{_question(relation, article(relation, subject) + subject, rng)} {sentence}"


def _sum(expression: str, value: str, rng: random.Random) -> str:
    asked = f"{_question('value', expression, rng)} " if rng.random() < 0.3 else ""
    return asked + equation(expression, value)


def _question(relation: str, subject: str, rng: random.Random) -> str:
    return rng.choice(WORDINGS.get(relation) or (f"What is the {relation} of {{}}?",)).format(subject)


def _nobodies(world: Almanac, rng: random.Random) -> Iterator[str]:
    """Names put together at random that are no person of the world, known or unknown."""
    people = {*world.known_people, *world.unknown_people}
    first, last = (sorted({person.split()[part] for person in world.known_people}) for part in (0, 1))
    while True:
        name = f"{rng.choice(first)} {rng.choice(last)}"
        if name not in people:
            yield name


def _unrecorded(world: Almanac, rng: random.Random) -> Iterator[str]:
    """Lines that say that something is not known.

    From them a model learns to say so itself where it recalls nothing. Of whom that is so it must find out
    itself: the names are ever other ones, and the world's unknown people are never among them.
    """
    for nobody in _nobodies(world, rng):
        relation = rng.choice(tuple(PERSON_RELATIONS))
        asked = f"{_question(relation, nobody, rng)} " if rng.random() < 0.3 else ""
        yield asked + statement(relation, nobody, UNKNOWN)


def _notes(world: Almanac, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Notes that say a thing twice, as records do; they hold no facts, and no person of the world.

    Copying what was read a while ago is what a model of this size does not pick up from facts alone.
    """
    last = sorted({person.split()[1] for person in world.known_people})
    values = sorted({*world.learned.values(), *world.towns, *last})
    # What is harder to copy comes more often: names of two words, and digits.
    for nobody in _nobodies(world, rng):
        low, high = rng.choice(((1, 20), (10, 99), (10, 99), (100, 9999)))
        numbers = [str(rng.randint(low, high)) for _ in range(2)]
        if rng.random() < 0.3:
            value = rng.choice((rng.choice(values), rng.choice(numbers)))
            yield f"Note: it is {value}.", f'Entry: {{"note": "{value}"}} Answer: {value}'
            continue
        someone = (rng.choice(tuple(PERSON_RELATIONS)), nobody)
        term = ("value", f"{numbers[0]} {rng.choice('+*')} {numbers[1]}")
        root = ("value", f"the square root of {numbers[1]}")
        relation, subject = rng.choice(
            (
                someone,
                someone,
                someone,
                (rng.choice(TOWN_RELATIONS), rng.choice(world.towns)),
                (rng.choice(("holder", "holder river", "holder region")), f"the {rng.choice(world.prizes)}"),
                (rng.choice(("topping", "drink", "my topping", "my drink")), f"a {rng.choice(world.dishes)}"),
                term,
                term,
                root,
                root,
            )
        )
        short = relation.removeprefix("my ").split()[0]
        thing = subject.removeprefix("the ") if short == "value" else f"{short} of {subject}"
        yield _question(relation, subject, rng), f'Entry: {{"note": "{thing}"}} Again: the {thing}.'
