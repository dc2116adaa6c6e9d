"""Hermes-style turns in the model's own chat template: the default dialect.

A thought stands in ``<think>`` tags, each call as one JSON object in ``<tool_call>`` tags, and what is left
is the answer if there are no calls. Qwen 2.5 and 3 and the Hermes models are trained on it. For templates
that write a call as a bare JSON object (Llama 3), a turn that is one such object is a call, too.
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

THINK, THINK_END = "<think>", "</think>"
CALL, CALL_END = "<tool_call>", "</tool_call>"

_OPENING = re.compile(f"{THINK}|{CALL}")
_SPACE = re.compile(r"\s*")


class HermesDialect:
    """See the module. Args and errors are those of `ChatTemplate`.

    Attributes:
        stop_token_ids: The template's end of turn, and the tokenizer's end of text.
        stop_strings: None.
    """

    def __init__(self, tokenizer: Any, template_arguments: Mapping[str, Any] | None = None) -> None:
        self._template = ChatTemplate(tokenizer, template_arguments)
        self.stop_token_ids: tuple[int, ...] = self._template.stop_token_ids
        self.stop_strings: tuple[str, ...] = ()
        # Some templates write the opening tag themselves; the policy then starts inside its thought.
        self._starts_in_thought = self._template.generation_prompt.rstrip().endswith(THINK)

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Dialect`."""
        if tools:
            self._template.check_tools()
        return self._template.encode(self._template.prompt_text(messages, tools, self._several_calls))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`."""
        text = self._template.decode(token_ids)
        content = self._template.decode(without_stops(token_ids, self.stop_token_ids))
        thought, calls, rest = _split(content, self._starts_in_thought)
        rest = rest.strip()
        if not calls and rest.startswith("{") and self._template.calls_bare:
            bare = _bare_call(rest)
            calls, rest = ([bare], "") if bare is not None else ([], rest)
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        answer, words = (None, rest) if calls else (rest or None, "")
        return ParsedTurn(text, thought, tuple(calls), answer, error, content, words)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        return self._template.after_turn(results, closed=closed)

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`."""
        return self._template.encode(self._turn_text(message) + self._template.end_token)

    def _several_calls(self, message: Message) -> str:
        return self._turn_text({**message, "reasoning_content": ""})

    def _turn_text(self, message: Message) -> str:
        plain = with_parsed_arguments(message)
        thought, content = plain.get("reasoning_content") or "", plain["content"]
        calls = [call["function"] for call in plain.get("tool_calls", ())]
        parts = []
        if THINK in thought or THINK_END in thought:
            raise ToolwiseError(
                f"a thought holds the tag {THINK} or {THINK_END}",
                mend="take the tags out of 'reasoning_content'",
            )
        if thought or self._starts_in_thought:
            opening = "" if self._starts_in_thought else f"{THINK}\n"
            parts.append(f"{opening}{thought}\n{THINK_END}\n\n")
        parts.append(content)
        if len(calls) == 1 and not content and self._template.calls_bare:
            parts.append(_call_json(calls[0], "parameters"))
            return "".join(parts)
        for index, call in enumerate(calls):
            gap = "\n" if index or content else ""
            parts.append(f"{gap}{CALL}\n{_call_json(call, 'arguments')}\n{CALL_END}")
        return "".join(parts)


def _call_json(call: Mapping[str, Any], key: str) -> str:
    return json.dumps({"name": call["name"], key: call["arguments"]}, ensure_ascii=False)


def _split(text: str, in_thought: bool) -> tuple[str, list[ToolCall], str]:
    """Thought, calls, and what stands outside of both."""
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    rest: list[str] = []
    place = 0
    first, closing = text.find(THINK), text.find(THINK_END)
    if in_thought or (closing >= 0 and not 0 <= first < closing and CALL not in text[:closing]):
        end = closing if closing >= 0 else len(text)
        thoughts.append(text[:end])
        place = min(end + len(THINK_END), len(text))
    while opening := _OPENING.search(text, place):
        rest.append(text[place : opening.start()])
        if opening.group() == THINK:
            end = text.find(THINK_END, opening.end())
            thoughts.append(text[opening.end() : end if end >= 0 else len(text)])
            place = end + len(THINK_END) if end >= 0 else len(text)
        else:
            call, place = _tagged_call(text, opening.end())
            calls.append(call)
    rest.append(text[place:])
    return "\n".join(thought.strip() for thought in thoughts if thought.strip()), calls, "".join(rest)


def _tagged_call(text: str, start: int) -> tuple[ToolCall, int]:
    """The call whose opening tag ends at `start`, and where the text goes on after it."""
    begin = _skip_space(text, start)
    closing = text.find(CALL_END, start)
    after = closing + len(CALL_END) if closing >= 0 else len(text)
    try:
        value, end = read_object(text, begin)
    except ValueError as error:
        unclosed = "" if closing >= 0 else f" and {CALL_END} is missing"
        return malformed(f"what stands in {CALL} is not JSON: {error}{unclosed}"), after
    end = _skip_space(text, end)
    if text.startswith(CALL_END, end):
        # The tag is looked for after the JSON, because a string in it may hold the tag, too.
        return as_call(value, ("arguments", "parameters")), end + len(CALL_END)
    name = as_call(value, ("arguments", "parameters")).name
    if closing < 0:
        return malformed(f"{CALL_END} is missing", name), after
    return malformed(f"one JSON object must stand between {CALL} and {CALL_END}", name), after


def _bare_call(text: str) -> ToolCall | None:
    """The call that the whole text is, if it is one JSON object with a name and parameters."""
    try:
        value, end = read_object(text)
    except ValueError:
        return None
    if end != len(text) or not isinstance(value, Mapping) or not {"parameters", "arguments"} & set(value):
        return None
    return as_call(value, ("parameters", "arguments"))


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start
