"""Multiple-choice questions in the layouts of the public sets (OpenBookQA, ARC, PIQA …)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.core.records import Row
from toolwise.data.json_list import list_rows
from toolwise.data.reading import read_all

_MEND = "give question, options (texts) and answer (a letter, a place from 0, or the option itself)"


@dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """A question with its options.

    Attributes:
        id: Unique within its file.
        question: As it is put.
        options: At least two different texts.
        answer: Place of the right one, from 0.
    """

    id: str
    question: str
    options: tuple[str, ...]
    answer: int

    @property
    def answer_text(self) -> str:
        """The right option."""
        return self.options[self.answer]


def read_choices(path: Path) -> list[ChoiceQuestion]:
    """The questions of a ``.jsonl``, ``.parquet`` or ``.json`` file.

    Read are ``id``; ``question`` or ``question_stem`` (a text, or ``{stem, choices}``); ``options`` or
    ``choices`` (texts, ``{label, text}`` of lists, or a list of ``{label, text}``); and ``answer``,
    ``answerKey`` or ``label``.

    Raises:
        ToolwiseError: The file cannot be read, or lists the rows that cannot be used.
    """
    return read_all(path, list_rows(path), choice_question)


def choice_question(row: Row) -> ChoiceQuestion:
    """A row as a question.

    Raises:
        ToolwiseError: A field is missing or of another type, options are equal, or the answer is none of
            them.
    """
    record = row.record
    if not isinstance(record, Mapping):
        raise ToolwiseError("is no object", mend=_MEND)
    asked = _first(record, ("question", "question_stem"))
    inner = asked if isinstance(asked, Mapping) else {}
    question = inner.get("stem") if inner else asked
    if not isinstance(question, str) or not question.strip():
        raise ToolwiseError("field 'question' is not a text", mend=_MEND)
    labels, options = _options(_first({**inner, **record}, ("options", "choices")))
    answer = _answer(_first(record, ("answer", "answerKey", "label")), labels, options)
    identity = record.get("id")
    named = isinstance(identity, str | int) and not isinstance(identity, bool) and identity != ""
    return ChoiceQuestion(
        str(identity) if named else f"choice-{row.number}", question.strip(), tuple(options), answer
    )


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if record.get(name) is not None:
            return record[name]
    raise ToolwiseError(f"field '{names[0]}' is missing", mend=_MEND)


def _options(value: Any) -> tuple[list[str], list[str]]:
    labels: list[Any]
    if isinstance(value, Mapping):
        labels, texts = value.get("label"), value.get("text")  # type: ignore[assignment]
    elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        labels, texts = [part.get("label") for part in value], [part.get("text") for part in value]
    else:
        texts = value
        labels = [chr(ord("A") + place) for place in range(len(texts))] if isinstance(texts, list) else []
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ToolwiseError("field 'options' is no list of texts", mend=_MEND)
    plain = [text.strip() for text in texts]
    if len(plain) < 2 or len(set(plain)) < len(plain) or len(labels or ()) != len(plain):
        raise ToolwiseError("field 'options' needs at least two different texts", mend=_MEND)
    return [str(label) for label in labels], plain


def _answer(value: Any, labels: Sequence[str], options: Sequence[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(options):
        return value
    if isinstance(value, str):
        plain = value.strip()
        # The options first: an option may be a single letter, too.
        if plain in options:
            return options.index(plain)
        folded = [label.casefold() for label in labels]
        if plain.strip("()").casefold() in folded:
            return folded.index(plain.strip("()").casefold())
    raise ToolwiseError(f"field 'answer' is {value!r}, none of the options", mend=_MEND)
