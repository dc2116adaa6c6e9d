"""Invented items in the shape of BFCL's: question, function documents, possible answers."""

from __future__ import annotations

from typing import Any


def record(id: str, functions: list[dict[str, Any]], truth: list[dict[str, Any]] | None) -> dict[str, Any]:
    question = [[{"role": "user", "content": f"Do what {id} asks."}]]
    made = {"id": id, "question": question, "function": functions}
    return made if truth is None else {**made, "ground_truth": truth}


def document(name: str, required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    described = {key: {"description": f"The {key}.", **value} for key, value in properties.items()}
    parameters = {"type": "dict", "properties": described, "required": list(required)}
    return {"name": name, "description": f"Does {name}.", "parameters": parameters}


BOOK = document(
    "hotel.book",
    ("city", "nights"),
    city={"type": "string"},
    nights={"type": "integer"},
    price={"type": "float"},
    breakfast={"type": "boolean"},
    guests={"type": "array", "items": {"type": "string"}},
    room={"type": "dict", "properties": {"floor": {"type": "integer"}, "view": {"type": "string"}}},
)
PLOT = document(
    "plot",
    ("points", "corner"),
    points={"type": "array", "items": {"type": "float"}},
    corner={"type": "tuple", "items": {"type": "float"}},
    series={"type": "array", "items": {"type": "dict"}},
    grid={"type": "array", "items": {"type": "array"}},
    note={"type": "any"},
)
STORE = document(
    "Store.save",
    ("key", "count"),
    key={"type": "String"},
    count={"type": "integer"},
    size={"type": "long"},
    ratio={"type": "float"},
    exact={"type": "double"},
    fresh={"type": "boolean"},
    letter={"type": "char"},
    names={"type": "ArrayList", "items": {"type": "String"}},
    numbers={"type": "Array", "items": {"type": "integer"}},
    options={"type": "HashMap"},
    owner={"type": "any"},
)
RENDER = document(
    "render",
    ("title", "rows"),
    title={"type": "String"},
    rows={"type": "array", "items": {"type": "float"}},
    big={"type": "Bigint"},
    depth={"type": "float"},
    open={"type": "Boolean"},
    style={"type": "dict"},
    table={"type": "array", "items": {"type": "array"}},
    target={"type": "any"},
)
HOTEL = {
    "city": ["Rio de Janeiro", "Rio"],
    "nights": [3],
    "price": [99.5, 100, ""],
    "breakfast": [True, ""],
    "guests": [["Ana", "O'Neil, Bo"], ["O'Neil, Bo", "Ana"], ""],
    "room": [{"floor": [4, 5], "view": ["sea-side", ""]}, ""],
}
RECORDS = [
    record("simple_python_0", [BOOK], [{"hotel.book": HOTEL}]),
    record(
        "simple_python_1",
        [PLOT],
        [
            {
                "plot": {
                    "points": [[1.0, 2.5], [1, 3]],
                    "corner": [[0.5, 0.25]],
                    "series": [[{"x": [1], "label": ["Low Tide", ""]}, {"x": [2], "label": ["High"]}], ""],
                    "grid": [[[1, 2], [3, 4]], ""],
                    "note": ["none", ""],
                }
            }
        ],
    ),
    record("multiple_0", [PLOT, BOOK], [{"hotel.book": HOTEL}]),
    record(
        "parallel_0",
        [BOOK],
        [{"hotel.book": HOTEL}, {"hotel.book": {**HOTEL, "nights": [3, 4]}}, {"hotel.book": HOTEL}],
    ),
    record(
        "parallel_multiple_0",
        [BOOK, PLOT],
        [
            {"plot": {"points": ["measured"], "corner": [[0.0, 1.0]], "series": [""], "note": [""]}},
            {"hotel.book": {"city": ["Oslo"], "nights": [1], "price": [""], "guests": [[], ""]}},
        ],
    ),
    record(
        "simple_java_0",
        [STORE],
        [
            {
                "Store.save": {
                    "key": ["abc", "ABC-1"],
                    "count": [12],
                    "size": [9000000000, ""],
                    "ratio": [0.5, ""],
                    "exact": [2.25, ""],
                    "fresh": [True, ""],
                    "letter": ["z", ""],
                    "names": [["Ana", "Bo"], ""],
                    "numbers": [[1, 2, 3], ""],
                    "options": [{"depth": [3], "deep": [True, ""], "name": ["x y"]}, ""],
                    "owner": ["currentUser", ""],
                }
            }
        ],
    ),
    record(
        "simple_javascript_0",
        [RENDER],
        [
            {
                "render": {
                    "title": ["Sea level", "sea"],
                    "rows": [[1.5, 2.0], "measuredRows"],
                    "big": [123, ""],
                    "depth": [4.0, ""],
                    "open": [False, ""],
                    "style": [{"color": ["red"], "widths": [[1, 2]], "bold": [True, ""]}, ""],
                    "table": [[[1, 2], [3, 4]], ""],
                    "target": ["document.body", ""],
                }
            }
        ],
    ),
]
LIVE = [
    record("live_simple_0-0-0", [BOOK], [{"hotel.book": HOTEL}]),
    record("live_parallel_0-0-0", [BOOK], [{"hotel.book": HOTEL}, {"hotel.book": HOTEL}]),
]
IRRELEVANT = record("irrelevance_0", [BOOK], None)
RELEVANT = record("live_relevance_0-0-0", [BOOK], None)
