"""BFCL's check of calls against possible answers (Patil et al. 2025), by the rules of its program.

The rules decide item by item what the published scores are, so their oddities are kept: types are compared
exactly (but an int may stand for a float in Python), a value of the type of the first possible answer counts
as a variable, texts are compared without case and some punctuation, and only one level deep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from toolwise.core import ToolCall, ToolwiseError
from toolwise.evaluation.benchmarks.bfcl_literals import (
    JAVA_TYPES,
    JAVASCRIPT_TYPES,
    java_value,
    javascript_value,
)

Language = Literal["python", "java", "javascript"]

PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "any": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
}
"""Types of the benchmark's function documents, and what their values are in Python."""

_NESTED: dict[Language, tuple[str, ...]] = {
    "python": ("array", "tuple"),
    "java": ("Array", "ArrayList"),
    "javascript": ("array",),
}
_TYPES: dict[Language, dict[str, type]] = {
    "python": PYTHON_TYPES,
    "java": JAVA_TYPES,
    "javascript": JAVASCRIPT_TYPES,
}
_IGNORED = str.maketrans({"'": '"'} | dict.fromkeys(" ,./-_*^"))
OPTIONAL = ""
"""Among possible answers: the argument may be missing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why calls are wrong.

    Attributes:
        kind: ``wrong_count``, ``wrong_name``, ``missing_argument``, ``unexpected_argument``,
            ``missing_optional``, ``wrong_type``, ``wrong_value`` or ``no_match``.
        detail: What and where.
    """

    kind: str
    detail: str


def check_calls(
    functions: Sequence[Mapping[str, Any]],
    calls: Sequence[ToolCall],
    answers: Sequence[Mapping[str, Mapping[str, Sequence[Any]]]],
    *,
    language: Language = "python",
    parallel: bool = False,
    underscore_names: bool = False,
) -> Fault | None:
    """Compare the calls of one turn with what BFCL allows.

    Args:
        functions: The function documents of the item, with ``name`` and ``parameters``.
        calls: What the model wrote.
        answers: For each expected call ``{name: {argument: possible values}}``; `OPTIONAL` among the values
            says that the argument may be missing.
        language: Whose types the documents and whose literals the arguments are in.
        parallel: Several calls, in any order.
        underscore_names: Dots in names were shown to the model as underscores.

    Returns:
        What is wrong; None if the calls are right.

    Raises:
        ToolwiseError: The item itself cannot be used.
    """
    if len(calls) != len(answers):
        return Fault("wrong_count", f"{len(calls)} calls instead of {len(answers)}")
    check = _Check(language, underscore_names)
    if not parallel:
        return check.call(_document(functions, answers[0]), calls[0], answers[0])
    left = list(range(len(calls)))
    for answer in answers:
        document = _document(functions, answer)
        match = next((i for i in left if check.call(document, calls[i], answer) is None), None)
        if match is None:
            return Fault("no_match", f"no call matches {next(iter(answer))}")
        left.remove(match)
    return None


def _document(functions: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(functions) == 1:
        return functions[0]
    name = next(iter(answer))
    for document in functions:
        if document["name"] == name:
            return document
    raise ToolwiseError(f"no function document is called '{name}'", mend="get the benchmark's files again")


def standard_text(text: str) -> str:
    """A text without blanks and ``,./-_*^``, in lower case, with double quotes for single ones."""
    return text.translate(_IGNORED).lower()


def _standard(value: Any) -> Any:
    return standard_text(value) if type(value) is str else value


def _kind_of_answers(answers: Sequence[Any]) -> type | None:
    return next((type(answer) for answer in answers if answer != OPTIONAL), None)


@dataclass(frozen=True, slots=True)
class _Check:
    language: Language
    underscore_names: bool

    def call(
        self, document: Mapping[str, Any], call: ToolCall, answer: Mapping[str, Mapping[str, Sequence[Any]]]
    ) -> Fault | None:
        name, possible = document["name"], next(iter(answer.values()))
        parameters = document["parameters"]["properties"]
        if self.underscore_names:
            name = name.replace(".", "_")
        if call.name != name:
            return Fault("wrong_name", f"'{call.name}' instead of '{name}'")
        for required in document["parameters"].get("required", ()):
            if required not in call.arguments:
                return Fault("missing_argument", f"'{required}' is missing")
        for argument, value in call.arguments.items():
            if argument not in parameters or argument not in possible:
                return Fault("unexpected_argument", f"'{argument}' is not expected")
            fault = self._argument(parameters[argument], value, possible[argument])
            if fault is not None:
                return Fault(fault, f"'{argument}' is {value!r}")
        for argument, values in possible.items():
            if argument not in call.arguments and OPTIONAL not in values:
                return Fault("missing_optional", f"'{argument}' is missing")
        return None

    def _argument(self, parameter: Mapping[str, Any], value: Any, answers: Sequence[Any]) -> str | None:
        kind = parameter["type"]
        expected = self._type(kind)
        items = parameter["items"]["type"] if kind in _NESTED[self.language] else None
        if self.language == "python":
            if kind == "tuple" and type(value) is tuple:
                value = list(value)
            if kind == "float" and type(value) is int:
                value = float(value)
        else:
            if type(value) is not str:
                return "wrong_type"
            read = java_value if self.language == "java" else javascript_value
            value = read(value, kind, items)
        nested = self._type(items) if items is not None else None
        if not _has_type(value, answers, expected, nested):
            return "wrong_type"
        if _kind_of_answers(answers) in (None, expected):
            allowed = _has_value(value, answers, expected, nested)
        else:
            allowed = value in answers  # the name of a variable
        return None if allowed else "wrong_value"

    def _type(self, kind: str) -> type:
        try:
            return _TYPES[self.language][kind]
        except KeyError:
            raise ToolwiseError(
                f"the type '{kind}' is no type of {self.language} in BFCL", mend="get its files again"
            ) from None


def _has_type(value: Any, answers: Sequence[Any], expected: type, nested: type | None) -> bool:
    if type(value) is expected:
        if nested is None:
            return True
        items = cast(Sequence[Any], value)
        # A possible answer that is no list (a variable, or "may be missing") says nothing of the elements.
        return any(
            type(answer) is not list or all(_has_type(item, answer, nested, None) for item in items)
            for answer in answers
        )
    return type(value) is _kind_of_answers(answers)


def _has_value(value: Any, answers: Sequence[Any], expected: type, nested: type | None) -> bool:
    if expected is dict:
        return any(_same_dict(value, answer) for answer in answers if answer != OPTIONAL)
    if expected is list and nested is dict:
        return any(_same_dicts(value, answer) for answer in answers)
    if expected is str:
        return standard_text(value) in [standard_text(answer) for answer in answers if type(answer) is str]
    if expected is list:
        return [_standard(item) for item in value] in [[_standard(i) for i in answer] for answer in answers]
    return value in answers


def _same_dict(value: Any, answer: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(answer, Mapping):
        return False
    for key, part in value.items():
        if key not in answer or _standard(part) not in [_standard(allowed) for allowed in answer[key]]:
            return False
    return all(key in value or OPTIONAL in allowed for key, allowed in answer.items())


def _same_dicts(value: Sequence[Any], answer: Sequence[Any]) -> bool:
    if len(value) != len(answer):
        return False
    return all(_same_dict(part, allowed) for part, allowed in zip(value, answer, strict=True))
