"""Llama 3's turns: a call is a bare JSON object, and its result a turn of the role ``ipython``.

The template of Llama 3.1 and later writes ``{"name": …, "parameters": {…}}`` as the whole turn; models put
``<|python_tag|>`` in front of it at times, and several objects after one another, with ``;`` between them. A
turn may end in ``<|eom_id|>`` where a result is awaited. Thoughts are not part of the template; a thought
stands in ``<think>`` tags before the call or the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.call_json import as_call, malformed, read_object
from toolwise.dialects.chat_template import ChatTemplate, with_parsed_arguments
from toolwise.dialects.dialect import ParsedTurn, without_stops
from toolwise.dialects.thoughts import split_thought, thought_text

PYTHON_TAG, END_OF_MESSAGE = "<|python_tag|>", "<|eom_id|>"
_KEYS = ("parameters", "arguments")
_BETWEEN = re.compile(r"[\s;]*")


class Llama3Dialect:
    """See the module. Args and errors are those of `ChatTemplate`.

    Attributes:
        stop_token_ids: The template's end of turn, the tokenizer's end of text, and ``<|eom_id|>``.
        stop_strings: None.
    """

    def __init__(self, tokenizer: Any, template_arguments: Mapping[str, Any] | None = None) -> None:
        self._template = ChatTemplate(tokenizer, template_arguments)
        message_end = tokenizer.convert_tokens_to_ids(END_OF_MESSAGE)
        more = () if message_end in (None, tokenizer.unk_token_id) else (int(message_end),)
        self.stop_token_ids: tuple[int, ...] = tuple(dict.fromkeys((*self._template.stop_token_ids, *more)))
        self.stop_strings: tuple[str, ...] = ()

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Dialect`.

        Raises:
            ToolwiseError: With tools: the template does not write calls as Llama 3's does.
        """
        if tools:
            self._template.check_tools()
            if not self._template.calls_bare:
                raise ToolwiseError(
                    "the chat template does not write a call as a bare JSON object",
                    where="dialect 'llama3'",
                    mend="use the dialect that the model was trained on, for instance hermes",
                )
        return self._template.encode(self._template.prompt_text(messages, tools, _calls_text))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`. What begins with a JSON object that names a call, or with the tag, is a call."""
        content = self._template.decode(without_stops(token_ids, self.stop_token_ids))
        thought, rest = split_thought(content)
        rest = rest.strip()
        tagged = rest.startswith(PYTHON_TAG)
        calls = _read(rest.removeprefix(PYTHON_TAG), tagged)
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        text = self._template.decode(token_ids)
        return ParsedTurn(text, thought, calls, None if calls else rest or None, error, content)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        return self._template.after_turn(results, closed=closed)

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`.

        Raises:
            ToolwiseError: Text beside a call, which the template has no place for.
        """
        plain = with_parsed_arguments(message)
        if plain.get("tool_calls") and plain["content"].strip():
            raise ToolwiseError(
                "a turn of Llama 3 is either a call or text",
                mend="put what is said before the call into 'reasoning_content'",
            )
        thought = thought_text(plain.get("reasoning_content") or "")
        said = _calls_text(plain) or plain["content"]
        return self._template.encode(thought + said + self._template.end_token)


def _calls_text(message: Message) -> str:
    calls = [call["function"] for call in with_parsed_arguments(message).get("tool_calls", ())]
    return "; ".join(
        json.dumps({"name": call["name"], "parameters": call["arguments"]}, ensure_ascii=False)
        for call in calls
    )


def _read(text: str, tagged: bool) -> tuple[ToolCall, ...]:
    """The calls that a turn is; none if it is an answer."""
    calls: list[ToolCall] = []
    place = _skip(text, 0)
    while place < len(text) or (tagged and not calls):
        try:
            value, end = read_object(text, place)
        except ValueError as error:
            if calls or tagged or text.startswith('{"name"', place):
                calls.append(malformed(f"the call is not JSON: {error}"))
            return tuple(calls)
        if not (calls or tagged) and not (isinstance(value, Mapping) and {*_KEYS} & set(value)):
            return ()
        calls.append(as_call(value, _KEYS))
        place = _skip(text, end)
    return tuple(calls)


def _skip(text: str, place: int) -> int:
    found = _BETWEEN.match(text, place)
    return found.end() if found else place
