"""ToolRL's turns (Qian et al. 2025, arXiv 2504.13958, Figure 2 and appendix): tags inside a chat template.

A think block, then a block of calls (one JSON object a line, with ``name`` and ``parameters``) and/or a
response block. Its training is single-turn, with all that was said before in one user message: published
tasks hold that prompt as text; for tasks with tools it is written here (`toolrl_prompt`). Where tools are
really run, results come back as ``<obs>`` in a user message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.call_json import as_call, malformed, read_object
from toolwise.dialects.chat_template import ChatTemplate
from toolwise.dialects.dialect import ParsedTurn, without_stops
from toolwise.dialects.toolrl_prompt import toolrl_prompt, toolrl_results, toolrl_turn

_THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_CALLS = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
_MARKERS = {
    "qwen": ("<|im_start|>assistant", "<|im_end|>"),
    "llama": ("<|start_header_id|>assistant<|end_header_id|>", "<|eot_id|>"),
}
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
        """See `Dialect`. With tools, the conversation becomes ToolRL's prompt; without, it is taken as it is.

        Raises:
            ToolwiseError: As in `toolrl_prompt`, or the template refuses the messages.
        """
        shown = toolrl_prompt(messages, tools) if tools else messages
        return self._template.encode(self._template.prompt_text(shown))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`. A turn may hold calls and a response at once; the response is the answer."""
        text = self._template.decode(token_ids)
        content = self._template.decode(without_stops(token_ids, self.stop_token_ids))
        think = _THINK.search(content)
        thought = think.group(1).strip() if think else ""
        # Tags that a thought merely mentions are no calls.
        acted = content[think.end() :] if think else content
        calls = tuple(call for block in _CALLS.finditer(acted) for call in _block_calls(block))
        response = _RESPONSE.search(_CALLS.sub("", acted))
        answer = response.group(1).strip() if response else ""
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        return ParsedTurn(text, thought, calls, answer or None, error, content)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        shown = [{"name": result.name, "content": result.content} for result in results]
        text = toolrl_results(shown)
        return self._template.after_turn([ToolResult("obs", text)], closed=closed, role="user")

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`. Content that holds ToolRL's tags already is taken as it is."""
        return self._template.encode(toolrl_turn(message) + self._template.end_token)


def assistant_text(transcript: str, template: Literal["qwen", "llama"]) -> str:
    """The last assistant turn of a decoded transcript with its special tokens, stripped.

    For transcripts of other programs; in a rollout, `ToolRLDialect.parse` knows the end of a turn by its
    tokens.

    Args:
        transcript: Prompt and response.
        template: Whose chat template it was rendered with.

    Returns:
        The text after the last assistant marker and before the next end of turn; without a marker, all of
        it. Another end token stays in the text, as in the published program.

    Raises:
        ToolwiseError: If the template is not known.
    """
    if template not in _MARKERS:
        raise ToolwiseError(f"template {template!r} is not known", mend=f"use one of {sorted(_MARKERS)}")
    start, end = _MARKERS[template]
    return transcript.rpartition(start)[2].partition(end)[0].strip()


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
