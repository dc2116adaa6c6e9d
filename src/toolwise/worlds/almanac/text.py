"""The pretraining text: everything that the tiny model can know."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

from toolwise.core import seed_for
from toolwise.worlds.almanac.world import DISH_RELATIONS, Almanac, statement

LARGEST_ADDEND = 20
LARGEST_FACTOR = 9


def arithmetic() -> list[tuple[str, str]]:
    """Sums and products that stand in the text, as (expression, value)."""
    sums = [(f"{a} + {b}", str(a + b)) for a in range(1, LARGEST_ADDEND + 1) for b in range(1, LARGEST_ADDEND + 1)]
    factors = range(2, LARGEST_FACTOR + 1)
    return sums + [(f"{a} * {b}", str(a * b)) for a in factors for b in factors]


def equation(expression: str, value: str) -> str:
    """The sentence that states a result."""
    return f"The value of {expression} is {value}."


def facts_by_subject(world: Almanac) -> dict[str, list[str]]:
    """The sentences of the text, gathered by what they are about."""
    gathered: dict[str, list[str]] = defaultdict(list)
    for (relation, subject), value in world.learned.items():
        name = f"usual {relation}" if relation in DISH_RELATIONS else relation
        text = statement(relation, subject, value)
        gathered[subject].append(text.replace(f"The {relation}", f"The {name}", 1))
    return dict(gathered)


def pretraining_documents(world: Almanac, epoch: int) -> Iterator[str]:
    """One pass over the text: half of the subjects as a paragraph, half as single sentences.

    Order of subjects and of sentences differs from epoch to epoch, and depends on (world seed, epoch) only.
    """
    rng = random.Random(seed_for("almanac text", world.seed, epoch))
    documents: list[str] = []
    for sentences in facts_by_subject(world).values():
        order = rng.sample(sentences, len(sentences))
        documents += [" ".join(order)] if rng.random() < 0.5 else order
    documents += [equation(expression, value) for expression, value in arithmetic()]
    rng.shuffle(documents)
    yield from documents
