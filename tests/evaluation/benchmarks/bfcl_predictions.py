"""Predictions for BFCL items: right ones, made from the possible answers, and systematically spoiled ones."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from toolwise.core import ToolCall

Calls = list[tuple[str, dict[str, Any]]]


def language_of(category: str) -> str:
    if "javascript" in category:
        return "javascript"
    return "java" if "java" in category else "python"


def right_calls(answers, functions, language: str, rng: random.Random) -> Calls:
    """Calls that the possible answers allow; an argument that may be missing is sometimes left out."""
    calls = []
    for answer in answers:
        ((name, possible),) = answer.items()
        document = next(function for function in functions if function["name"] == name)
        parameters = document["parameters"]["properties"]
        required = document["parameters"].get("required", ())
        arguments = {}
        for argument, values in possible.items():
            chosen = [value for value in values if value != ""]
            may_miss = "" in values and argument not in required
            if not chosen or (may_miss and rng.random() < 0.3):
                continue
            value = plain(rng.choice(chosen), rng)
            if language != "python":
                value = literal(value, parameters[argument], language, rng)
            arguments[argument] = value
        calls.append((name, arguments))
    return calls


def plain(value: Any, rng: random.Random) -> Any:
    """A possible answer as a value: for each key of a dict one of its possible values."""
    if isinstance(value, list):
        return [plain(item, rng) for item in value]
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    made = {}
    for key, values in value.items():
        chosen = [each for each in values if each != ""] if isinstance(values, list) else [values]
        if chosen and not ("" in values and rng.random() < 0.3):
            made[key] = plain(rng.choice(chosen), rng)
    return made


def literal(value: Any, parameter, language: str, rng: random.Random) -> str:
    """A value as a literal of Java or JavaScript, in one of the ways in which models write it."""
    kind, items = parameter["type"], parameter.get("items", {}).get("type")
    write = java_literal if language == "java" else javascript_literal
    return write(value, kind, items, rng)


def java_literal(value: Any, kind: str, items: str | None, rng: random.Random) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and kind in ("long", "float"):
        return f"{value}{'L' if kind == 'long' else 'f'}"
    if isinstance(value, list):
        parts = [java_literal(item, items or "", None, rng) for item in value]
        if kind == "Array" and items == "String":
            return (
                "new String[]{"
                + ", ".join(part if rng.random() < 0.7 else f'"{part}"' for part in parts)
                + "}"
            )
        if kind == "Array":
            return "new Object[]{" + ", ".join(parts) + "}"
        quoted = [f'"{part}"' if items in ("String", "char") else part for part in parts]
        if rng.random() < 0.5:
            return f"new ArrayList<{rng.choice(['', 'String'])}>(Arrays.asList({', '.join(quoted)}))"
        return "new ArrayList<String>() {{ " + " ".join(f"add({part});" for part in quoted) + " }}"
    if isinstance(value, dict):
        puts = [f'put("{key}", {java_put(item, rng)});' for key, item in value.items()]
        return "new HashMap<String, Object>() {{ " + " ".join(puts) + " }}"
    return str(value)


def java_put(value: Any, rng: random.Random) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) and rng.random() < 0.8 else str(value)


def javascript_literal(value: Any, kind: str, items: str | None, rng: random.Random) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        parts = [javascript_literal(item, items or "", None, rng) for item in value]
        quote = rng.choice("'\"")
        if all(isinstance(item, str) for item in value) and rng.random() < 0.7:
            parts = [f"{quote}{part}{quote}" for part in parts]
        joined = rng.choice([", ", ","]).join(parts)
        return f"[{joined}]" if rng.random() < 0.7 else f"new Array({joined})"
    if isinstance(value, dict):
        shown = {key: javascript_literal(item, "", None, rng) for key, item in value.items()}
        quoted = {
            key: f"'{shown[key]}'" if isinstance(item, str) and rng.random() < 0.7 else shown[key]
            for key, item in value.items()
        }
        return "{" + ", ".join(f"{key}: {item}" for key, item in quoted.items()) + "}"
    if isinstance(value, str) and kind == "String" and rng.random() < 0.4:
        return f'"{value}"'
    return f"{value}n" if kind == "Bigint" else str(value)


def spoiled(calls: Calls, answers, functions, rng: random.Random) -> Calls:
    """The calls with one to three faults; now and then a fault does no harm."""
    calls = copy.deepcopy(calls)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        whole = rng.random() < 0.2
        calls = spoil_calls(calls, functions, rng) if whole or not calls else calls
        filled = [index for index, (_, arguments) in enumerate(calls) if arguments]
        if whole or not filled:
            continue
        index = rng.choice(filled)
        name, arguments = calls[index]
        calls[index] = (name, spoil_arguments(arguments, answers, functions, rng))
    return calls


def spoil_calls(calls: Calls, functions, rng: random.Random) -> Calls:
    if not calls:
        return [(functions[0]["name"], {})]
    index = rng.randrange(len(calls))
    name, arguments = calls[index]
    match rng.randrange(7):
        case 0:
            return calls[:index] + calls[index + 1 :]
        case 1:
            return [*calls, copy.deepcopy(calls[index])]
        case 2:
            calls[index] = (f"{name}_", arguments)
        case 3:
            calls[index] = (name.replace(".", "_"), arguments)
        case 4:
            calls[index] = (rng.choice(functions)["name"], arguments)
        case 5:
            rng.shuffle(calls)
        case _:
            calls[index] = (name.swapcase(), arguments)
    return calls


def spoil_arguments(arguments: dict[str, Any], answers, functions, rng: random.Random) -> dict[str, Any]:
    key = rng.choice(list(arguments))
    choice = rng.random()
    if choice < 0.12:
        return {name: value for name, value in arguments.items() if name != key}
    if choice < 0.2:
        return {**arguments, rng.choice(["extra", f"{key}_"]): arguments[key]}
    if choice < 0.28:
        known = [name for function in functions for name in function["parameters"]["properties"]]
        return {**arguments, rng.choice(known): arguments[key]}
    if choice < 0.36:
        every = [value for answer in answers for possible in answer.values() for value in possible.values()]
        return {**arguments, key: plain(rng.choice(rng.choice(every) or [""]), rng)}
    if choice < 0.42:
        other = rng.choice(list(arguments))
        return {**arguments, key: arguments[other], other: arguments[key]}
    return {**arguments, key: spoil_value(arguments[key], rng)}


def spoil_value(value: Any, rng: random.Random, depth: int = 0) -> Any:
    if rng.random() < 0.15:
        return rng.choice(
            [None, "", 0, 1, True, False, 1.0, [], {}, "x", [value], (value,), {"value": value}]
        )
    if isinstance(value, bool):
        return rng.choice([not value, int(value), str(value), str(value).lower()])
    if isinstance(value, int):
        return rng.choice([value + 1, -value, float(value), str(value), value * 1.0 + 0.5, [value]])
    if isinstance(value, float):
        return rng.choice([value + 1, -value, int(value), str(value), value + 1e-9, round(value, 1)])
    if isinstance(value, list | tuple):
        return spoil_list(list(value), rng, depth)
    if isinstance(value, dict):
        return spoil_dict(dict(value), rng, depth)
    return spoil_text(value, rng) if isinstance(value, str) else value


def spoil_list(value: list, rng: random.Random, depth: int) -> Any:
    index = rng.randrange(len(value)) if value else 0
    match rng.randrange(7):
        case 0:
            return tuple(value)
        case 1:
            rng.shuffle(value)
        case 2:
            value = value[:index] + value[index + 1 :]
        case 3:
            value = [*value, value[index] if value else 0]
        case 4:
            return json.dumps(value, default=str)
        case 5:
            return value[0] if value else None
        case _:
            if value and depth < 3:
                value[index] = spoil_value(value[index], rng, depth + 1)
    return value


def spoil_dict(value: dict, rng: random.Random, depth: int) -> Any:
    key = rng.choice(list(value)) if value else "key"
    match rng.randrange(6):
        case 0:
            value.pop(key, None)
        case 1:
            value[f"{key}2"] = 1
        case 2:
            return [value]
        case 3:
            return json.dumps(value, default=str)
        case 4:
            return list(value.items())
        case _:
            if value and depth < 3:
                value[key] = spoil_value(value[key], rng, depth + 1)
    return value


def spoil_text(value: str, rng: random.Random) -> Any:
    place = rng.randrange(len(value) + 1)
    changed = value[:place] + rng.choice(" ,./-_*^;:'\"xL1f\n()[]{}") + value[place:]
    number = int(value) if value.isascii() and value.isdigit() else value
    return rng.choice(
        [
            *(
                changed,
                changed,
                value.upper(),
                value.title(),
                value.replace("'", '"'),
                value.replace(" ", ""),
            ),
            *(f" {value} ", f'"{value}"', f"'{value}'", f"{value}L", f"{value}f", f"{value}n", f"{value}.0"),
            *(
                value[:-1],
                value[1:],
                f"[{value}]",
                f"{{{value}}}",
                f"new {value}",
                number,
                [value],
                value + "!",
            ),
            *(value.replace(", ", ","), value.replace(",", " , "), value.replace('"', "'"), value.swapcase()),
        ]
    )


def as_calls(calls: Calls) -> list[ToolCall]:
    return [ToolCall(name, arguments) for name, arguments in calls]
