"""Questions with short answers: the plain files of many data sets, and the files of Search-R1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.core.records import Row

_QUESTION = ("question", "Question")
_ANSWER = ("answer", "answers", "golden_answers", "Answer")
_FORMAT = "is the file in the format that you named?"


def qa_task(row: Row) -> Task:
    """A record ``{question, answer}`` as a task with the tool ``search``; the answer is a text or aliases.

    Names of other data sets are read, too: ``Question``, ``answers``, ``golden_answers``, ``Answer``; and
    ``id``. Further fields that hold a text or a number go to ``info``.

    Raises:
        ToolwiseError: A field is missing or of another type.
    """
    record = row.record
    question, answer = _field(record, _QUESTION), _field(record, _ANSWER)
    if not isinstance(question, str) or not question.strip():
        raise ToolwiseError("field 'question' is not a text", mend=_FORMAT)
    identity = record.get("id")
    named = isinstance(identity, str | int) and not isinstance(identity, bool) and identity != ""
    known = {*_QUESTION, *_ANSWER, "id"}
    info = {
        str(key): value
        for key, value in record.items()
        if key not in known and isinstance(value, str | int | float)
    }
    return Task(
        id=str(identity) if named else f"qa-{row.number}",
        prompt=({"role": "user", "content": question.strip()},),
        tools=("search",),
        answer=_aliases(answer, "answer"),
        info=info,
    )


def search_r1_task(row: Row) -> Task:
    """A record of Search-R1's data (verl's layout) as a task with the tool ``search``.

    Read are ``prompt`` (messages, as they are), ``reward_model.ground_truth.target`` (aliases),
    ``data_source`` and ``extra_info`` (``split``, ``index``). The index restarts for each source, so the id
    has all three; ``info.index`` is what the published trainer takes for the group.

    Raises:
        ToolwiseError: A field is missing or of another type.
    """
    record = row.record
    prompt, source = _field(record, ("prompt",)), _field(record, ("data_source",))
    if not isinstance(source, str) or not source:
        raise ToolwiseError("field 'data_source' is not a text", mend=_FORMAT)
    truth = _field(_field(record, ("reward_model",)), ("ground_truth",))
    extra = record.get("extra_info")
    extra = extra if isinstance(extra, Mapping) else {}
    index = extra.get("index", row.number)
    identity = f"{source}-{extra.get('split', 'row')}-{index}"
    return Task(
        id=identity,
        # Task's own reader checks the messages.
        prompt=Task.from_record({"id": identity, "prompt": prompt}).prompt,
        tools=("search",),
        answer=_aliases(_field(truth, ("target",)), "target"),
        info={"domain": source, "index": index},
    )


def _field(record: Any, names: Sequence[str]) -> Any:
    if isinstance(record, Mapping):
        for name in names:
            if name in record:
                return record[name]
    raise ToolwiseError(f"field '{names[0]}' is missing", mend=_FORMAT)


def _aliases(answer: Any, field: str) -> str | list[str]:
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return str(answer)
    if isinstance(answer, str) and answer.strip():
        return answer
    if isinstance(answer, list) and answer and all(isinstance(alias, str) for alias in answer):
        return list(answer)
    raise ToolwiseError(f"field '{field}' is {answer!r}", mend="give a text, or a list of texts")
