"""Task: one problem for the agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolwise.core.errors import ToolwiseError

Message = Mapping[str, Any]
"""An OpenAI-style chat message: ``role`` and ``content``, and ``tool_calls`` where it has any."""

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Task:
    """One problem.

    Attributes:
        id: Unique within a task file.
        prompt: OpenAI-style messages, at least one, not empty.
        tools: Names of tools in the toolbox, or JSON-schema specs (OpenAI ``function`` objects).
        answer: Ground truth: a string, a list of aliases, or a reference turn; None if there is none.
        info: Anything else: domain, difficulty, ``needs_tool`` … never shown to the model.
    """

    id: str
    prompt: tuple[Message, ...]
    tools: tuple[str | Mapping[str, Any], ...] = ()
    answer: Any = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], where: str = "") -> Task:
        """Check a plain record and make a Task of it.

        ``prompt`` may be a string (one user message). Unknown keys are refused.

        Raises:
            ToolwiseError: Names the field, what is wrong with it and what it takes.
        """

        def refuse(name: str, problem: str, mend: str) -> ToolwiseError:
            return ToolwiseError(f"field '{name}' {problem}", where=where, mend=mend)

        if not isinstance(record, Mapping):
            raise ToolwiseError(
                f"a task must be an object, not {type(record).__name__}",
                where=where,
                mend='write {"id": …, "prompt": …}',
            )
        known = {"id", "prompt", "tools", "answer", "info"}
        for key in record:
            if key not in known:
                raise refuse(str(key), "is not known", f"known are {sorted(known)}; put extras into 'info'")
        if "id" not in record or record["id"] in (None, ""):
            raise refuse("id", "is missing", "give every task a unique string")
        if not isinstance(record["id"], str | int) or isinstance(record["id"], bool):
            raise refuse("id", f"is {type(record['id']).__name__}", "give a string")
        tools = record.get("tools")
        if tools is None:
            tools = ()
        if not isinstance(tools, list | tuple) or not all(isinstance(tool, str | Mapping) for tool in tools):
            raise refuse("tools", "is not a list of names or schemas", 'for instance ["search"]')
        info = record.get("info")
        if info is None:
            info = {}
        if not isinstance(info, Mapping):
            raise refuse("info", f"is {type(info).__name__}", "give an object")
        return cls(
            id=str(record["id"]),
            prompt=_messages(record.get("prompt"), refuse),
            tools=tuple(tools),
            answer=record.get("answer"),
            info=dict(info),
        )

    def to_record(self) -> dict[str, Any]:
        """The plain form that `from_record` reads."""
        return {
            "id": self.id,
            "prompt": [dict(message) for message in self.prompt],
            "tools": [tool if isinstance(tool, str) else dict(tool) for tool in self.tools],
            "answer": self.answer,
            "info": dict(self.info),
        }


def _messages(prompt: Any, refuse: Any) -> tuple[Message, ...]:
    if prompt is None:
        raise refuse("prompt", "is missing", "give a question, or a list of {role, content} messages")
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if isinstance(prompt, Mapping) or not hasattr(prompt, "__iter__"):
        raise refuse("prompt", f"is {type(prompt).__name__}", "give a string or a list of messages")
    messages = tuple(prompt)
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise refuse(f"prompt[{index}]", "is not a message", 'write {"role": "user", "content": "…"}')
        if message.get("role") not in ROLES:
            raise refuse(f"prompt[{index}].role", f"is {message.get('role')!r}", f"use one of {ROLES}")
        content = message.get("content")
        if content is not None and not isinstance(content, str):
            raise refuse(f"prompt[{index}].content", f"is {type(content).__name__}", "give a string")
    if not any((message.get("content") or "").strip() for message in messages):
        raise refuse("prompt", "is empty", "write the question that the agent shall answer")
    return messages
