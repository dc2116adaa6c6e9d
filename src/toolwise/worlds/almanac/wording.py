"""How questions are put into words."""

from __future__ import annotations

WORDINGS: dict[str, tuple[str, ...]] = {
    "birthplace": ("Where was {} born?", "Which town is the birthplace of {}?"),
    "trade": ("What is the trade of {}?", "What does {} do for a living?"),
    "pet": ("What pet does {} keep?", "Which animal is the pet of {}?"),
    "river": ("Which river flows through {}?", "On which river lies {}?"),
    "region": ("In which region lies {}?", "Which region does {} belong to?"),
    "mayor": ("Who is the mayor of {} now?", "Who is the present mayor of {}?"),
    "champion": ("Who is the chess champion of {} now?", "Who is the present champion of {}?"),
    "topping": ("Which topping does {} usually have?", "What is the usual topping of {}?"),
    "drink": ("Which drink usually goes with {}?", "What is the usual drink with {}?"),
    "my topping": ("Order {} for me, which topping do I want?", "Which topping do I like on {}?"),
    "my drink": ("Order {} for me, which drink do I want?", "Which drink do I like with {}?"),
    "value": ("What is {}?", "How much is {}?"),
    "holder river": ("On which river lies the town that holds {}?", "Which river has the town with {}?"),
    "holder region": ("In which region lies the town that holds {}?", "Which region has the town with {}?"),
}
