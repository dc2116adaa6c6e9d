"""The pretraining text: everything that the tiny model can know."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

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

LARGEST_ADDEND = 20
LARGEST_FACTOR = 9
NOTES = 450
"""Lines without facts in one pass over the text."""
TOWN_RELATIONS = (*STABLE_RELATIONS, *CHANGING_RELATIONS)
TWICE = (*TOWN_RELATIONS, "holder")
"""Relations of towns and prizes, of which there are few: each pass states them in two forms."""


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
    """One pass over the text, a part of the subjects in each of three forms, and some notes.

    The forms are a paragraph, single sentences, and questions with their answers. Order and forms differ from
    epoch to epoch, and depend on (world seed, epoch) only.
    """
    rng = random.Random(seed_for("almanac text", world.seed, epoch))
    documents: list[str] = []
    gathered = facts_by_subject(world)
    again = [(subject, facts) for subject, facts in gathered.items() if facts[0][0] in TWICE]
    for subject, facts in [*gathered.items(), *again]:
        order = rng.sample(facts, len(facts))
        form = rng.choice(("paragraph", "sentences", "questions"))
        if form == "paragraph":
            documents.append(" ".join(sentence for _, sentence in order))
        elif form == "sentences":
            documents += [sentence for _, sentence in order]
        else:
            documents += [
                f"{_question(relation, article(relation, subject) + subject, rng)} {sentence}"
                for relation, sentence in order
            ]
    for expression, value in rng.sample(arithmetic(), len(arithmetic()) // 2):
        asked = f"{_question('value', expression, rng)} " if rng.random() < 0.3 else ""
        documents.append(asked + equation(expression, value))
    documents += _notes(world, rng, NOTES)
    rng.shuffle(documents)
    yield from documents


def _question(relation: str, subject: str, rng: random.Random) -> str:
    return rng.choice(WORDINGS.get(relation) or (f"What is the {relation} of {{}}?",)).format(subject)


def _notes(world: Almanac, rng: random.Random, count: int) -> Iterator[str]:
    """Lines that say a thing twice, as records do; they hold no facts, and no person of the world.

    Copying what was just read is what a model of this size does not pick up from facts alone.
    """
    first = sorted({person.split()[0] for person in world.known_people})
    last = sorted({person.split()[1] for person in world.known_people})
    people = {*world.known_people, *world.unknown_people}
    values = sorted({*world.learned.values(), *world.towns, *last})
    for _ in range(count):
        nobody = f"{rng.choice(first)} {rng.choice(last)}"
        if nobody in people:
            continue
        low, high = rng.choice(((1, 20), (10, 99), (100, 999), (1000, 9999)))
        numbers = [str(rng.randint(low, high)) for _ in range(2)]
        if rng.random() < 0.4:
            value = rng.choice((rng.choice(values), rng.choice(numbers)))
            yield f'Note: it is {value}. Entry: {{"note": "{value}"}} Answer: {value}'
            continue
        relation, subject = rng.choice(
            (
                (rng.choice(tuple(PERSON_RELATIONS)), nobody),
                (rng.choice(TOWN_RELATIONS), rng.choice(world.towns)),
                (rng.choice(("holder", "holder river", "holder region")), f"the {rng.choice(world.prizes)}"),
                (rng.choice(("topping", "drink", "my topping", "my drink")), f"a {rng.choice(world.dishes)}"),
                ("value", f"{numbers[0]} {rng.choice('+*')} {numbers[1]}"),
                ("value", f"the square root of {numbers[1]}"),
            )
        )
        asked = _question(relation, subject, rng)
        short = relation.removeprefix("my ").split()[0]
        thing = subject.removeprefix("the ") if short == "value" else f"{short} of {subject}"
        yield f'{asked} Entry: {{"note": "{thing}"}} Again: the {thing}.'
