"""Mistral's turns: ``[TOOL_CALLS]`` and a JSON list of calls, each with an id that its result repeats.

This is the form of Mistral 7B v0.3, Mistral Nemo and Mistral Large 2. Ids have nine letters or digits; an id
that a model or a file writes otherwise is replaced by one that derives from it. Thoughts are not part of the
template; a thought stands in ``<think>`` tags before the calls or the answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.call_json import as_call, malformed, read_object
from toolwise.dialects.chat_template import ChatTemplate, call_id, with_parsed_arguments
from toolwise.dialects.dialect import ParsedTurn, without_stops
from toolwise.dialects.thoughts import split_thought, thought_text

TOOL_CALLS = "[TOOL_CALLS]"
_ID = re.compile(r"[A-Za-z0-9]{9}")
_KEYS = ("arguments", "parameters")


class MistralDialect:
    """See the module. Args and errors are those of `ChatTemplate`.

    Attributes:
        stop_token_ids: The template's end of turn, and the tokenizer's end of text.
        stop_strings: None.
    """

    def __init__(self, tokenizer: Any, template_arguments: Mapping[str, Any] | None = None) -> None:
        self._template = ChatTemplate(tokenizer, template_arguments)
        self.stop_token_ids: tuple[int, ...] = self._template.stop_token_ids
        self.stop_strings: tuple[str, ...] = ()
        written = self._template.written_call
        listed = written.startswith(TOOL_CALLS) and "[{" in written
        # Some templates of this form have a space after the tag, others have none.
        self._opening = written[: written.index("[{")] if listed else ""

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Dialect`.

        Raises:
            ToolwiseError: With tools: the template does not write calls as a list after ``[TOOL_CALLS]``.
        """
        if tools:
            self._template.check_tools()
            if not self._opening:
                raise ToolwiseError(
                    f"the chat template does not write calls as a list after {TOOL_CALLS}",
                    where="dialect 'mistral'",
                    mend="use the dialect that the model was trained on, for instance hermes",
                )
        return self._template.encode(self._template.prompt_text(_with_ids(messages), tools))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`."""
        content = self._template.decode(without_stops(token_ids, self.stop_token_ids))
        thought, rest = split_thought(content)
        said, tag, listed = rest.partition(TOOL_CALLS)
        calls = _read(listed) if tag else ()
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        text = self._template.decode(token_ids)
        said = said.strip()
        answer, words = (None, said) if calls else (said or None, "")
        return ParsedTurn(text, thought, calls, answer, error, content, words)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        ids = [_usable(result.id, index) for index, result in enumerate(results)]
        return self._template.after_turn(results, closed=closed, ids=ids)

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`."""
        plain = with_parsed_arguments(message)
        thought = thought_text(plain.get("reasoning_content") or "")
        calls = [
            {**call["function"], "id": _usable(call.get("id"), index)}
            for index, call in enumerate(plain.get("tool_calls", ()))
        ]
        listed = (self._opening or TOOL_CALLS) + json.dumps(calls, ensure_ascii=False) if calls else ""
        return self._template.encode(thought + plain["content"] + listed + self._template.end_token)


def _read(text: str) -> tuple[ToolCall, ...]:
    start = len(text) - len(text.lstrip())
    try:
        value, end = read_object(text, start)
    except ValueError as error:
        return (malformed(f"what stands after {TOOL_CALLS} is not JSON: {error}"),)
    if not isinstance(value, list) or not value:
        return (malformed(f"a list of calls must stand after {TOOL_CALLS}"),)
    calls = [
        replace(as_call(one, _KEYS), id=_usable(one.get("id") if isinstance(one, Mapping) else "", index))
        for index, one in enumerate(value)
    ]
    if text[end:].strip():
        calls.append(malformed("something stands after the list of calls"))
    return tuple(calls)


def _usable(identity: Any, index: int) -> str:
    """The id itself if it has the form that templates ask for; else one that derives from it."""
    text = str(identity or "")
    if _ID.fullmatch(text):
        return text
    return hashlib.blake2b(text.encode("utf-8", "replace")).hexdigest()[:9] if text else call_id(index)


def _with_ids(messages: Sequence[Message]) -> list[Message]:
    """Messages in which calls and results have usable ids, in the order of the calls where they have none."""
    found: list[Message] = []
    index = 0
    for message in messages:
        changed = dict(message)
        if message.get("tool_calls"):
            index = 0
            changed["tool_calls"] = [
                {**call, "id": _usable(call.get("id"), place)}
                for place, call in enumerate(message["tool_calls"])
            ]
        elif message.get("role") == "tool":
            changed["tool_call_id"] = _usable(message.get("tool_call_id"), index)
            index += 1
        found.append(changed)
    return found
