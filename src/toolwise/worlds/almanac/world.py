"""The facts of the almanac: what was so when the text was written, and what is so now."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from toolwise.core import seed_for
from toolwise.worlds.almanac import names

PERSON_RELATIONS = {
    "birthplace": "town",
    "trade": "trade",
    "pet": "pet",
}
STABLE_RELATIONS = ("river", "region")
CHANGING_RELATIONS = ("mayor", "champion")
DISH_RELATIONS = {"topping": names.TOPPINGS, "drink": names.DRINKS}


@dataclass(frozen=True, slots=True)
class WorldSize:
    """How large the world is.

    Attributes:
        known_people: People whose facts stand in the pretraining text.
        unknown_people: People who stand in the encyclopaedia only.
        towns: All of them stand in the pretraining text.
    """

    known_people: int = 500
    unknown_people: int = 900
    towns: int = 100
    first_names: int = 80
    last_names: int = 80
    prizes: int = 120
    dishes: int = 120
    rivers: int = 24
    regions: int = 12


@dataclass(frozen=True, slots=True)
class Almanac:
    """A world.

    Facts are keyed by (relation, subject). ``learned`` is what the pretraining text says; ``current`` is
    what is so now, and what the encyclopaedia says. A fact is within knowledge if both agree.
    """

    seed: int
    known_people: tuple[str, ...]
    unknown_people: tuple[str, ...]
    towns: tuple[str, ...]
    prizes: tuple[str, ...]
    dishes: tuple[str, ...]
    learned: dict[tuple[str, str], str]
    current: dict[tuple[str, str], str]

    def another_day(self, day: int) -> Almanac:
        """The same text, but what it does not settle has turned out otherwise.

        What is within knowledge is the same in both. Day 0 is this one.
        """
        if day == 0:
            return self
        rng = random.Random(seed_for("almanac day", self.seed, day))
        values: dict[str, dict[str, None]] = {}
        for (relation, _), value in self.current.items():
            values.setdefault(relation, {})[value] = None
        current = dict(self.current)
        for key, value in self.current.items():
            before = self.learned.get(key)
            if value != before:
                current[key] = rng.choice([other for other in values[key[0]] if other != before])
        return replace(self, current=current)

    def encyclopaedia(self) -> list[str]:
        """One sentence a fact, as things are now; the corpus of the search tool."""
        return [
            statement(relation, subject, value)
            for (relation, subject), value in self.current.items()
            if relation not in DISH_RELATIONS
        ]


def statement(relation: str, subject: str, value: str) -> str:
    """The sentence that states a fact. Names never begin it, so that their tokens are always the same."""
    return f"The {relation} of {article(relation, subject)}{subject} is {value}."


def article(relation: str, subject: str) -> str:
    """Articles of the two kinds of subject that take one."""
    if relation == "holder":
        return "the "
    return "a " if relation in DISH_RELATIONS else ""


def build_world(seed: int = 0, size: WorldSize | None = None) -> Almanac:
    """Build a world; equal seeds and sizes give equal worlds."""
    size = size or WorldSize()
    rng = random.Random(seed_for("almanac", seed))
    taken = {word.capitalize() for word in [*names.TRADES, *names.PETS, *names.DISHES]}
    taken |= set(names.PRIZES)
    first = names.invent(size.first_names, names.FIRST_ENDINGS, taken, rng)
    last = names.invent(size.last_names, names.LAST_ENDINGS, taken, rng)
    towns = names.invent(size.towns, names.TOWN_ENDINGS, taken, rng)
    rivers = names.invent(size.rivers, names.RIVER_ENDINGS, taken, rng)
    regions = names.invent(size.regions, names.REGION_ENDINGS, taken, rng)
    everyone = [f"{a} {b}" for a in first for b in last]
    rng.shuffle(everyone)
    people = everyone[: size.known_people + size.unknown_people]
    known, unknown = people[: size.known_people], people[size.known_people :]
    every_prize = [f"{word} {kind}" for word in names.PRIZES for kind in names.PRIZE_KINDS]
    prizes = rng.sample(every_prize, size.prizes)
    dishes = rng.sample([f"{kind} {dish}" for dish in names.DISHES for kind in names.DISH_KINDS], size.dishes)

    current: dict[tuple[str, str], str] = {}
    learned: dict[tuple[str, str], str] = {}
    values = {"town": towns, "trade": names.TRADES, "pet": names.PETS}
    for person in people:
        for relation, kind in PERSON_RELATIONS.items():
            current[relation, person] = rng.choice(values[kind])
    for person in known:
        for relation in PERSON_RELATIONS:
            learned[relation, person] = current[relation, person]
    for town in towns:
        for relation, pool in zip(STABLE_RELATIONS, (rivers, regions), strict=True):
            current[relation, town] = learned[relation, town] = rng.choice(pool)
        for relation in CHANGING_RELATIONS:
            learned[relation, town], current[relation, town] = rng.sample(last, 2)
    for prize in prizes:
        learned["holder", prize], current["holder", prize] = rng.sample(towns, 2)
    for dish in dishes:
        for relation, choices in DISH_RELATIONS.items():
            current[relation, dish] = learned[relation, dish] = rng.choice(choices)
    return Almanac(
        seed, tuple(known), tuple(unknown), tuple(towns), tuple(prizes), tuple(dishes), learned, current
    )
