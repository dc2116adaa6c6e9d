"""Published file formats: GSM8K (Cobbe et al. 2021) and ToolRL's data (Qian et al. 2025)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from toolwise.core import Message, Task, ToolwiseError
from toolwise.core.records import Row
from toolwise.tools.calculator import calculate
from toolwise.tools.tool import ToolError

Conversation = tuple[str, tuple[Message, ...], tuple[str, ...]]
"""The fields of a Demonstration: id, messages, tools."""

_STEP = re.compile(r"<<([^<>=]+)=[^<>]*>>")
_FINAL = re.compile(r"####\s*(\S+)\s*$")


def gsm8k_task(row: Row) -> Task:
    """A GSM8K record ``{question, answer: "… #### n"}`` as a task with the calculator; the answer is n.

    Raises:
        ToolwiseError: A field is missing, or the answer does not end in ``#### n``.
    """
    question, solution, answer = _gsm8k_fields(row)
    return Task(
        id=f"gsm8k-{row.number}",
        prompt=({"role": "user", "content": question},),
        tools=("calculator",),
        answer=answer,
        info={"domain": "math", "solution": solution},
    )


def gsm8k_conversation(row: Row) -> Conversation:
    """A GSM8K record as a conversation in which the calculator works out each ``<<…=…>>`` of the solution.

    The text before a step is the thought of the turn that calls. A step that the calculator cannot read stays
    in the thought, without a call.

    Raises:
        ToolwiseError: A field is missing, or the answer does not end in ``#### n``.
    """
    question, solution, answer = _gsm8k_fields(row)
    worked = _FINAL.sub("", solution)
    messages: list[Message] = [{"role": "user", "content": question}]
    thought, place = "", 0
    for step in _STEP.finditer(worked):
        thought += worked[place : step.start()]
        place = step.end()
        expression = step.group(1).strip()
        try:
            result = calculate(expression)
        except ToolError:
            continue
        call = {"name": "calculator", "arguments": {"expression": expression}}
        messages.append(
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": thought.strip(),
                "tool_calls": [{"type": "function", "function": call}],
            }
        )
        messages.append({"role": "tool", "name": "calculator", "content": result})
        thought = ""
    thought = (thought + worked[place:]).strip()
    messages.append({"role": "assistant", "content": answer, "reasoning_content": thought})
    return f"gsm8k-{row.number}", tuple(messages), ("calculator",)


def rlla_task(row: Row) -> Task:
    """A record of ToolRL's data as a task; the answer is the reference turn, as text.

    Its tools stand in the text of its system message, so ``tools`` is empty.

    Raises:
        ToolwiseError: A field is missing or not a text.
    """
    identity, messages, reference = _rlla_fields(row)
    return Task(id=identity, prompt=messages, answer=reference, info={"domain": "tool_calls"})


def rlla_conversation(row: Row) -> Conversation:
    """A record of ToolRL's data as a conversation: its prompt, then its reference turn.

    Raises:
        ToolwiseError: A field is missing or not a text.
    """
    identity, messages, reference = _rlla_fields(row)
    return identity, (*messages, {"role": "assistant", "content": reference}), ()


def _gsm8k_fields(row: Row) -> tuple[str, str, str]:
    question, solution = (_text(row.record, field) for field in ("question", "answer"))
    final = _FINAL.search(solution)
    if final is None:
        raise ToolwiseError("field 'answer' has no final answer", mend="end it with '#### ' and the number")
    return question, solution, final.group(1).replace(",", "")


def _rlla_fields(row: Row) -> tuple[str, tuple[Message, ...], str]:
    record = row.record
    if isinstance(record, Mapping) and "prompt" in record:
        extra = record.get("extra_info") or {}
        identity = f"rlla-{extra.get('split', 'row')}-{extra.get('index', row.number)}"
        reference = _text(record.get("reward_model"), "ground_truth")
        # Task's own reader checks the messages.
        prompt = Task.from_record({"id": identity, "prompt": record["prompt"]}).prompt
        return identity, prompt, reference
    system, user, reference = (_text(record, field) for field in ("instruction", "input", "output"))
    messages = ({"role": "system", "content": system}, {"role": "user", "content": user})
    return f"rlla-sft-{row.number}", messages, reference


def _text(record: Any, field: str) -> str:
    if not isinstance(record, Mapping) or field not in record:
        raise ToolwiseError(f"field '{field}' is missing", mend="is the file in the format that you named?")
    if not isinstance(record[field], str) or not record[field].strip():
        raise ToolwiseError(
            f"field '{field}' is not a text", mend="is the file in the format that you named?"
        )
    return str(record[field])
