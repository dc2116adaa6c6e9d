"""Invented words: names of people, towns, rivers and regions that mean nothing elsewhere."""

from __future__ import annotations

import random

_ONSETS = [
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "v",
    "w",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ei", "ou"]
_CODAS = ["", "l", "n", "r", "s", "th", "ck", "nd", "rt", "m"]

FIRST_ENDINGS = ["a", "en", "is", "o", "in", "el"]
LAST_ENDINGS = ["er", "sen", "ham", "ley", "wick", "mann"]
TOWN_ENDINGS = ["ford", "burg", "moor", "vik", "stead", "port"]
RIVER_ENDINGS = ["ava", "une", "ine"]
REGION_ENDINGS = ["land", "mark", "shire"]

TRADES = [
    "baker", "potter", "miller", "tailor", "carpenter", "glazier", "printer", "weaver", "cooper", "farrier",
    "mason", "tanner", "saddler", "chandler", "brewer", "gardener", "painter", "locksmith",
    "cobbler", "fisher",
    "beekeeper", "barber", "sculptor", "dyer", "hatter", "joiner", "plumber", "roofer", "shepherd",
    "surveyor",
]  # fmt: skip
PETS = [
    "otter", "badger", "falcon", "parrot", "rabbit", "tortoise", "ferret", "pigeon", "goat", "donkey",
    "hedgehog", "raven", "lizard", "hamster", "goose", "lynx", "marten", "beagle", "pony", "toad",
    "magpie", "newt", "heron", "mule", "spaniel", "canary", "weasel", "squirrel", "swan", "gecko",
]  # fmt: skip
PRIZE_KINDS = ["Cup", "Shield", "Medal"]
PRIZES = [
    "Sun", "Moon", "Star", "Oak", "Pine", "Iron", "Silver", "Copper", "Amber", "Ivory", "River", "Mountain",
    "Harbour", "Forest", "Meadow", "Winter", "Summer", "Autumn", "Spring", "Lion", "Bear", "Wolf", "Eagle",
    "Stag", "Crown", "Anchor", "Arrow", "Shield", "Lantern", "Garland", "Rose", "Lily", "Thistle", "Clover",
    "Falcon", "Comet", "Thunder", "Frost", "Marble", "Granite", "Jade", "Pearl", "Ruby", "Opal", "Cedar",
    "Willow", "Maple", "Birch", "Raven", "Dolphin", "Horse", "Bull", "Tiger", "Swan", "Castle", "Tower",
    "Bridge", "Mill", "Valley", "Island",
]  # fmt: skip
DISH_KINDS = ["small", "large", "cold"]
DISHES = [
    "pancake", "waffle", "porridge", "omelette", "salad", "soup", "burger", "pizza", "noodle", "dumpling",
    "pasta", "risotto", "curry", "stew", "pie", "tart", "cake", "muffin", "scone", "bagel",
    "toast", "sandwich", "wrap", "taco", "burrito", "kebab", "steak", "schnitzel", "sausage", "potato",
    "pudding", "custard", "yoghurt", "sorbet", "sundae", "crepe", "pretzel", "biscuit", "cracker", "falafel",
    "casserole", "lasagne", "gnocchi", "ravioli", "paella", "ramen", "sushi", "tempura", "fondue", "goulash",
    "chowder", "broth", "quiche", "souffle", "brownie", "cookie", "donut", "eclair", "strudel", "trifle",
]  # fmt: skip
TOPPINGS = [
    "honey", "butter", "cheese", "cream", "pepper", "garlic", "onion", "parsley", "basil", "mustard",
    "ketchup", "syrup", "cinnamon", "sugar", "salt", "olives", "walnuts", "raisins", "chives", "mint",
    "chilli", "ginger", "lemon", "vanilla", "sesame",
]  # fmt: skip
DRINKS = [
    "tea", "coffee", "water", "juice", "milk", "cider", "lemonade", "cocoa", "wine", "beer",
    "mead", "sherry", "tonic", "soda", "punch", "kefir", "nectar", "cordial", "espresso", "matcha",
    "sake", "port", "ale", "brandy", "rum",
]  # fmt: skip


def invent(count: int, endings: list[str], taken: set[str], rng: random.Random) -> list[str]:
    """Invent distinct capitalised words.

    Args:
        count: How many.
        endings: The last syllable is one of these, so that kinds of names can be told apart.
        taken: Words in use; the new ones are added.
        rng: Source of randomness.
    """
    words: list[str] = []
    while len(words) < count:
        stem = rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        word = (stem + rng.choice(endings)).capitalize()
        if word not in taken and 4 <= len(word) <= 9:
            taken.add(word)
            words.append(word)
    return words
