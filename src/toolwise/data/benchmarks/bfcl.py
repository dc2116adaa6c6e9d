"""BFCL version 4 (Patil et al. 2025) from its published files: ``BFCL_v4_CATEGORY.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from toolwise.core import Task, ToolwiseError
from toolwise.core.records import Row
from toolwise.data.benchmarks.files import field_of, find_file, json_rows
from toolwise.data.reading import read_all

SINGLE_TURN = (
    *("simple_python", "simple_java", "simple_javascript", "multiple", "parallel", "parallel_multiple"),
    *("irrelevance", "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple"),
    *("live_irrelevance", "live_relevance"),
)
MULTI_TURN = (
    *("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context"),
)
CATEGORIES = (*SINGLE_TURN, *MULTI_TURN)
"""The categories that can be read, in the order in which they are reported."""

_DOCUMENTS = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
_SCHEMA_TYPES = {
    **dict.fromkeys(("integer", "byte", "short", "long", "Bigint"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("boolean", "bool", "Boolean"), "boolean"),
    **dict.fromkeys(("array", "list", "tuple", "Array", "ArrayList", "Queue", "Stack"), "array"),
    **dict.fromkeys(("dict", "object", "HashMap", "Hashtable"), "object"),
}
_KEPT = ("description", "enum", "default", "minimum", "maximum", "minItems", "maxItems", "pattern")
_LANGUAGES = {"java": "Java", "javascript": "JavaScript"}

Language = Literal["python", "java", "javascript"]


def read_bfcl(
    folder: str | Path, categories: Sequence[str] | None = None, underscore_names: bool = False
) -> list[Task]:
    """The items of BFCL.

    ``prompt`` and ``tools`` are what the model sees: the messages, and the functions as JSON schemas.
    ``answer`` holds the possible answers, and ``info`` what the scorer needs: ``category``, ``language``,
    ``functions`` (the documents as published); of items with several turns also ``turns``,
    ``initial_config``, ``involved_classes`` and ``added_tools``, what is on offer only from a turn on.

    Args:
        folder: Holds the files, and the folders ``possible_answer`` and ``multi_turn_func_doc``.
        categories: Which of `CATEGORIES`; None for all single-turn ones that are there.
        underscore_names: Show dots in the names of functions as underscores.

    Raises:
        ToolwiseError: A category is not known, or its file is missing or cannot be used.
    """
    folder = Path(folder)
    for category in categories or ():
        if category not in CATEGORIES:
            raise ToolwiseError(
                f"the category '{category}' is not known", where="bfcl", mend=f"known are {list(CATEGORIES)}"
            )
    if categories is None:
        find_file(folder, *(_file(category) for category in SINGLE_TURN))
        categories = [each for each in SINGLE_TURN if (folder / _file(each)).is_file()]
    return [task for category in categories for task in _read_category(folder, category, underscore_names)]


def language_of(category: str) -> Language:
    """Whose types and literals a category is about."""
    if "javascript" in category:
        return "javascript"
    return "java" if "java" in category else "python"


def tool_spec(
    document: Mapping[str, Any], language: Language = "python", underscore_names: bool = False
) -> dict[str, Any]:
    """A function document as an OpenAI function object.

    Arguments of Java and JavaScript functions are asked for as text, in the notation of the language.

    Args:
        document: ``name``, ``description`` and ``parameters`` with BFCL's types.
        language: Of the function.
        underscore_names: Show dots in the name as underscores.
    """
    name = document["name"].replace(".", "_") if underscore_names else document["name"]
    parameters = document["parameters"]
    shown = _schema if language == "python" else lambda parameter: _literal_schema(parameter, language)
    properties = {key: shown(value) for key, value in parameters.get("properties", {}).items()}
    description = document.get("description", "")
    if language != "python":
        description = f"{description} (A function of {_LANGUAGES[language]}.)".strip()
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": list(parameters.get("required", ())),
            },
        },
    }


def _file(category: str) -> str:
    return f"BFCL_v4_{category}.json"


def _read_category(folder: Path, category: str, underscore_names: bool) -> list[Task]:
    path = find_file(folder, _file(category))
    answers: dict[str, Any] = {}
    if "relevance" not in category:
        place = find_file(folder, f"possible_answer/{_file(category)}")
        answers = {task.id: task.answer for task in read_all(place, json_rows(place), _answer)}

    def make(row: Row) -> Task:
        if category in MULTI_TURN:
            return _multi_turn_task(row.record, category, answers, folder, underscore_names)
        return _task(row.record, category, answers, underscore_names)

    return read_all(path, json_rows(path), make)


def _answer(row: Row) -> Task:
    identity = str(field_of(row.record, "id"))
    return Task(identity, (), answer=field_of(row.record, "ground_truth", list))


def _reference(answers: Mapping[str, Any], identity: str, category: str) -> Any:
    if "relevance" in category:
        return None
    if identity not in answers:
        raise ToolwiseError(
            f"'{identity}' has no possible answer", mend=f"get possible_answer/{_file(category)} again"
        )
    return answers[identity]


def _task(record: Any, category: str, answers: Mapping[str, Any], underscore_names: bool) -> Task:
    identity, language = str(field_of(record, "id")), language_of(category)
    functions = field_of(record, "function", list)
    question = field_of(record, "question", list)
    made = {
        "id": identity,
        "prompt": question[0] if question else None,
        "tools": [tool_spec(document, language, underscore_names) for document in functions],
        "answer": _reference(answers, identity, category),
        "info": {"category": category, "language": language, "functions": functions},
    }
    return Task.from_record(made)


def _multi_turn_task(
    record: Any, category: str, answers: Mapping[str, Any], folder: Path, underscore_names: bool
) -> Task:
    identity = str(field_of(record, "id"))
    turns = field_of(record, "question", list)
    classes = field_of(record, "involved_classes", list)
    hidden = set(record.get("excluded_function", ()))
    missed = record.get("missed_function", {})
    held_back = {name for names in missed.values() for name in names}
    functions = [each for name in classes for each in _documents(folder, name) if each["name"] not in hidden]
    specs = {each["name"]: tool_spec(each, "python", underscore_names) for each in functions}
    info = {
        "category": category,
        "language": "python",
        "functions": functions,
        "turns": turns,
        "initial_config": field_of(record, "initial_config", dict),
        "involved_classes": classes,
        "added_tools": {turn: [specs[name] for name in names] for turn, names in missed.items()},
    }
    made = {
        "id": identity,
        "prompt": next((turn for turn in turns if turn), None),
        "tools": [spec for name, spec in specs.items() if name not in held_back],
        "answer": _reference(answers, identity, category),
        "info": info,
    }
    return Task.from_record(made)


def _documents(folder: Path, name: str) -> list[Any]:
    if name not in _DOCUMENTS:
        raise ToolwiseError(f"the class '{name}' is not known", mend="get BFCL's files again")
    path = find_file(folder, f"multi_turn_func_doc/{_DOCUMENTS[name]}.json")
    return [row.record for row in json_rows(path)]


def _schema(parameter: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": _SCHEMA_TYPES.get(parameter.get("type", "string"), "string")}
    made |= {key: parameter[key] for key in _KEPT if key in parameter}
    if "items" in parameter:
        made["items"] = _schema(parameter["items"])
    if "properties" in parameter:
        made["properties"] = {key: _schema(value) for key, value in parameter["properties"].items()}
        if isinstance(parameter.get("required"), list):
            made["required"] = parameter["required"]
    return made


def _literal_schema(parameter: Mapping[str, Any], language: Language) -> dict[str, Any]:
    kind, written = parameter["type"], _LANGUAGES[language]
    hint = f"As text: any {written} expression." if kind == "any" else f"As text: a {written} {kind}."
    if "items" in parameter:
        hint += f" Its elements are of type {parameter['items']['type']}."
    if "properties" in parameter:
        hint += f" Its entries: {json.dumps(parameter['properties'])}"
    return {"type": "string", "description": f"{parameter.get('description', '')} {hint}".strip()}
