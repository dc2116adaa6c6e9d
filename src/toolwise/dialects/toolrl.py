"""ToolRL's turns (Qian et al. 2025, arXiv 2504.13958, Figure 2 and appendix): tags inside a chat template.

A think block, then a block of calls (one JSON object a line, with ``name`` and ``parameters``) and/or a
response block. Its prompts name the tools in their own text, and its training is single-turn: results come
back as ``<obs>`` in a user message, as they stand in its histories.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.call_json import as_call, malformed, read_object
from toolwise.dialects.chat_template import ChatTemplate, with_parsed_arguments
from toolwise.dialects.dialect import ParsedTurn

_THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_CALLS = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
_RESPONSE = re.compile(r"<response>(.*?)(</response>|\Z)", re.DOTALL)


class ToolRLDialect:
    """See the module. Args and errors are those of `ChatTemplate`.

    Attributes:
        stop_token_ids: The template's end of turn, and the tokenizer's end of text.
        stop_strings: None.
    """

    def __init__(self, tokenizer: Any, template_arguments: Mapping[str, Any] | None = None) -> None:
        self._template = ChatTemplate(tokenizer, template_arguments)
        self.stop_token_ids: tuple[int, ...] = self._template.stop_token_ids
        self.stop_strings: tuple[str, ...] = ()

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Dialect`.

        Raises:
            ToolwiseError: Tools are given; in this dialect the task's system message describes them.
        """
        if tools:
            raise ToolwiseError(
                "the toolrl dialect does not render tools",
                mend="describe them in the task's system message and leave 'tools' empty",
            )
        return self._template.encode(self._template.prompt_text(messages))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`. A turn may hold calls and a response at once; the response is the answer."""
        text = self._template.decode(token_ids)
        inner = list(token_ids)
        while inner and inner[-1] in self.stop_token_ids:
            inner.pop()
        content = self._template.decode(inner)
        think = _THINK.search(content)
        thought = think.group(1).strip() if think else ""
        # Tags that a thought merely mentions are no calls.
        acted = content[think.end() :] if think else content
        calls = tuple(call for block in _CALLS.finditer(acted) for call in _block_calls(block))
        response = _RESPONSE.search(_CALLS.sub("", acted))
        answer = response.group(1).strip() if response else ""
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        return ParsedTurn(text, thought, calls, answer or None, error)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        shown = [{"name": result.name, "results": result.content} for result in results]
        text = f"<obs> {json.dumps(shown, ensure_ascii=False)} </obs>"
        return self._template.after_turn([ToolResult("obs", text)], closed=closed, role="user")

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`. Content that holds ToolRL's tags already is taken as it is."""
        plain = with_parsed_arguments(message)
        content, thought = plain["content"], plain.get("reasoning_content") or ""
        calls = [call["function"] for call in plain.get("tool_calls", ())]
        if not thought and not calls and ("<think>" in content or "<response>" in content):
            return self._template.encode(content + self._template.end_token)
        blocks = [f"<think> {thought} </think>"]
        if calls:
            lines = (
                json.dumps({"name": call["name"], "parameters": call["arguments"]}, ensure_ascii=False)
                for call in calls
            )
            blocks.append("\n".join(["<tool_call>", *lines, "</tool_call>"]))
        if content:
            blocks.append(f"<response> {content} </response>")
        return self._template.encode("\n".join(blocks) + self._template.end_token)


def _block_calls(block: re.Match[str]) -> list[ToolCall]:
    calls = []
    for line in block.group(1).strip().split("\n"):
        try:
            value, end = read_object(line.strip())
        except ValueError as error:
            calls.append(malformed(f"a line of the tool_call block is not JSON: {error}"))
            continue
        if line.strip()[end:]:
            calls.append(malformed("a line of the tool_call block holds more than one JSON object"))
        else:
            calls.append(as_call(value, ("parameters",)))
    if not block.group(2):
        calls.append(malformed("</tool_call> is missing"))
    return calls
