"""What pydantic says about a recipe, as an error that names the key, what was given and what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from toolwise.core import ToolwiseError
from toolwise.core.targets import TARGET_PATTERN

Step = str | int


def refusal(
    error: ValidationError, raw: Mapping[str, Any], model: type[BaseModel], where: str
) -> ToolwiseError:
    """One error for all that is wrong with a configuration.

    Args:
        error: What pydantic found.
        raw: The configuration as it was read.
        model: What it was to become.
        where: Its file.
    """
    lines, mends = [], []
    for found in error.errors(include_url=False):
        key = ".".join(str(step) for step in _key(found["loc"], raw))
        problem, mend = _explain(found, key, raw, model)
        lines.append(problem)
        mends.append(mend)
    if len(lines) == 1:
        return ToolwiseError(lines[0], where=where, mend=mends[0])
    listed = "\n".join(f"  {line} → {mend}" for line, mend in zip(lines, mends, strict=True))
    return ToolwiseError(f"{len(lines)} keys are wrong\n{listed}", where=where)


def _explain(
    found: Mapping[str, Any], key: str, raw: Mapping[str, Any], model: type[BaseModel]
) -> tuple[str, str]:
    kind, context = found["type"], found.get("ctx", {})
    given = f"{found['input']!r}"
    given = given if len(given) <= 80 else given[:77] + "…"
    if kind == "extra_forbidden":
        return f"key '{key}' is not known", _known(found["loc"], raw, model)
    if kind == "missing":
        return f"key '{key}' is missing", "add it"
    if kind == "union_tag_invalid":
        return f"key '{key}.type' is {context.get('tag')!r}", f"it takes {context.get('expected_tags')}"
    if kind == "union_tag_not_found":
        return f"key '{key}' has no 'type'", "say which one it is, for instance {type: …}"
    message = str(found["msg"]).removeprefix("Value error, ")
    cause = getattr(context.get("error"), "__cause__", None)
    if isinstance(cause, ToolwiseError):
        return f"key '{key}' is {given}, which {cause.problem}", cause.mend
    if kind == "value_error":
        return (f"key '{key}': {message}" if key else message), "change one of them, or set one to null"
    return f"key '{key}' is {given}", f"it takes: {_takes(kind, message)}"


def _takes(kind: str, message: str) -> str:
    """What pydantic asks for, in the words of YAML instead of Python."""
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "keys with values, written below it or as {key: value}"
    if kind in ("tuple_type", "list_type"):
        return "a list, for instance [{key: value}]"
    if kind == "string_pattern_mismatch" and TARGET_PATTERN in message:
        return "module:attribute"
    return message.replace("Input should be ", "").replace("String should ", "a text that should ")


def _key(loc: Sequence[Step], raw: Any) -> list[Step]:
    """The path of a key as the user wrote it: without the tags of unions that pydantic puts in."""
    here, path = raw, []
    for place, step in enumerate(loc):
        if (
            place + 1 < len(loc)
            and isinstance(here, Mapping)
            and step not in here
            and any(isinstance(value, str) and value == step for value in here.values())
        ):
            continue
        path.append(step)
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            here = None
    return path


def _known(loc: Sequence[Step], raw: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Which key was perhaps meant, or which ones there are."""
    wrong = str(loc[-1])
    candidates = _models_at(loc[:-1], model)
    prefix = ".".join(str(step) for step in _key(loc, raw)[:-1])
    known = sorted({name for candidate in candidates for name in candidate.model_fields})
    here = f"{prefix}." if prefix else ""
    # Of a name that stands in several places, the least deep one is meant: not the critic's learner.
    paths = sorted(_paths(model), key=lambda path: -path.count("."))
    elsewhere = {path.rsplit(".", 1)[-1]: path for path in paths if path != here + wrong and "." in path}
    if wrong in elsewhere and wrong not in known:
        return f"did you mean '{elsewhere[wrong]}'?" + (f" Known here: {', '.join(known)}" if prefix else "")
    if near := get_close_matches(wrong, known, n=1):
        return f"did you mean '{here}{near[0]}'?"
    if near := get_close_matches(wrong, list(elsewhere), n=1, cutoff=0.8):
        return f"did you mean '{elsewhere[near[0]]}'?"
    return f"known are: {', '.join(known)}"


def _models_at(loc: Sequence[Step], model: type[BaseModel]) -> list[type[BaseModel]]:
    current = [model]
    for step in loc:
        if isinstance(step, int):
            continue
        fields = [found.model_fields[step] for found in current if step in found.model_fields]
        if fields:
            current = [found for field in fields for found in _models(field.annotation)]
        else:
            current = [
                found
                for found in current
                if "type" in found.model_fields and found.model_fields["type"].default == step
            ]
    return current


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation mentions, through unions, lists and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models(field.annotation):
            yield from _paths(inner, f"{prefix}{name}.")
