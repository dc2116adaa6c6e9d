"""Search-R1's turns (Jin et al. 2025, arXiv 2503.09516): tags in one running text, without chat roles.

The policy thinks in ``<think>`` and ends a turn with ``<search>`` or ``<answer>``. What was found follows as
an ``<information>`` block in the same message, and the policy writes on; a turn without either is corrected.
Prompts are in our own words, with the tags of the published one in its order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.chat_template import ChatTemplate, broken, special_tokens, with_parsed_arguments
from toolwise.dialects.dialect import ParsedTurn, without_stops

Variant = Literal["search_r1", "otc"]

TOOL = "search"
MAX_OBSERVATION_TOKENS = 500
CORRECTION = (
    "\nThis was neither a search nor an answer. To search, I write the query between <search> and </search>. "
    "To finish, I write the answer between <answer> and </answer>. I try again.\n"
)

_ACTION = re.compile(r"<(search|answer)>(.*?)</\1>", re.DOTALL)
_THINK = re.compile(r"<think>(.*?)(?:</think>|(?=<search>|<answer>)|\Z)", re.DOTALL)
_TAGS = tuple(
    f"<{slash}{name}>"
    for name in ("think", "search", "information", "observation", "answer")
    for slash in ("", "/")
)
_REASON = (
    "Answer the question. Each time you learn something new, first reason about it between <think> and "
    "</think>. "
)
_SEARCH: Mapping[Variant, str] = {
    "search_r1": "If some knowledge turns out to be missing, call a search engine with <search> query "
    "</search>; the best results come back between <information> and </information>. You may search any "
    "number of times. ",
    "otc": "Search only if you need knowledge that you do not have, with <search> query </search>, and make "
    "each search count; the best results come back between <observation> and </observation>. ",
}
_ANSWER = (
    "When nothing more is needed, give the answer alone between <answer> and </answer>, without an "
    "explanation. For example, <answer> Beijing </answer>. Question: "
)


class SearchR1Dialect:
    """See the module.

    Args:
        tokenizer: A transformers tokenizer; without a chat template the prompt is plain text, as for the
            published base models of other families.
        template_arguments: Passed on to the template.
        variant: ``otc`` has the prompt and the ``<observation>`` tag of OTC (arXiv 2504.14870) instead.
        max_observation_tokens: Longer observations are cut; their closing tag stays. None: never.

    Attributes:
        stop_token_ids: The template's end of turn, and the tokenizer's end of text.
        stop_strings: ``</search>`` and ``</answer>``.

    Raises:
        ToolwiseError: The template's assistant turns do not end in a special token.
    """

    def __init__(
        self,
        tokenizer: Any,
        template_arguments: Mapping[str, Any] | None = None,
        *,
        variant: Variant = "search_r1",
        max_observation_tokens: int | None = MAX_OBSERVATION_TOKENS,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = (
            ChatTemplate(tokenizer, template_arguments) if getattr(tokenizer, "chat_template", None) else None
        )
        self._forgeable = [*special_tokens(tokenizer), *_TAGS]
        self._variant: Variant = variant
        self._max_observation_tokens = max_observation_tokens
        if self._template is not None:
            self.stop_token_ids: tuple[int, ...] = self._template.stop_token_ids
        else:
            eos = tokenizer.eos_token_id
            self.stop_token_ids = () if eos is None else (int(eos),)
        self.stop_strings: tuple[str, ...] = ("</search>", "</answer>")

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Dialect`. The last message is taken as the question, unless its text names the tags already.

        Raises:
            ToolwiseError: A tool is offered that is not ``search`` with a ``query``.
        """
        for spec in tools:
            _check_tool(spec)
        *before, last = [dict(message) for message in messages]
        content = str(last.get("content") or "")
        if not all(tag in content for tag in ("<think>", "<answer>")):
            question = content.strip()
            mark = "" if question.endswith("?") else "?"
            searching = _SEARCH[self._variant] if tools else ""
            last["content"] = f"{_REASON}{searching}{_ANSWER}{question}{mark}\n"
        if self._template is not None:
            return self._encode(self._template.prompt_text([*before, last]))
        return self._encode("\n\n".join(str(message.get("content") or "") for message in [*before, last]))

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`. The first search or answer is what the turn does; without one it is malformed."""
        text = self._decode(token_ids)
        thought = "\n".join(found.strip() for found in _THINK.findall(text) if found.strip())
        said = self._decode(without_stops(token_ids, self.stop_token_ids))
        action = _ACTION.search(text)
        if action is None:
            return ParsedTurn(text, thought, error=ErrorKind.MALFORMED_CALL, content=said)
        content = action.group(2).strip()
        if action.group(1) == "answer":
            return ParsedTurn(text, thought, answer=content, content=said)
        return ParsedTurn(text, thought, calls=(ToolCall(TOOL, {"query": content}),), content=said)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`. The same message goes on, so nothing is closed; no results give a correction.

        Tags and special tokens in a result are broken by a zero-width space: a passage can forge no answer.
        """
        if not results:
            return self._encode(CORRECTION)
        tag = "observation" if self._variant == "otc" else "information"
        found = "\n".join(broken(result.content, self._forgeable).strip() for result in results)
        opening, closing = f"\n\n<{tag}>", f"</{tag}>\n\n"
        tokens = self._encode(opening + found + closing)
        limit = self._max_observation_tokens
        if limit is None or len(tokens) <= limit:
            return tokens
        end = self._encode(closing)
        head = self._encode(opening + found)[: max(0, limit - len(end))]
        while head and self._decode(head).endswith("\ufffd"):
            head.pop()  # No character is cut in two.
        return [*head, *end]

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`. Content that holds the tags already is taken as it is.

        Raises:
            ToolwiseError: The turn is neither one search nor an answer, or a tag stands in one of its parts.
        """
        plain = with_parsed_arguments(message)
        thought, content = plain.get("reasoning_content") or "", plain["content"]
        calls = [call["function"] for call in plain.get("tool_calls", ())]
        if not thought and not calls and _ACTION.search(content):
            return self._encode(content)
        if len(calls) + bool(content.strip()) != 1:
            raise ToolwiseError(
                "a turn must be either one search or an answer",
                mend="split it into turns, or give it one of the two",
            )
        kind, said = "answer", content.strip()
        if calls:
            kind, said = TOOL, calls[0]["arguments"].get("query")
            if calls[0]["name"] != TOOL or len(calls[0]["arguments"]) != 1 or not isinstance(said, str):
                raise ToolwiseError(
                    f"the call of '{calls[0]['name']}' cannot be written with search tags",
                    mend="call search with a query only",
                )
        if any(tag in part for part in (thought, said) for tag in _TAGS):
            raise ToolwiseError(
                "a tag stands inside of a turn's part", mend=f"take {', '.join(_TAGS)} out of it"
            )
        opening = f"<think> {thought} </think>\n" if thought else ""
        return self._encode(f"{opening}<{kind}> {said} </{kind}>")

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(
                list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )


def _check_tool(spec: Mapping[str, Any]) -> None:
    function = spec.get("function", spec)
    parameters = function.get("parameters") or {}
    if function.get("name") != TOOL or set(parameters.get("properties", {})) != {"query"}:
        raise ToolwiseError(
            f"the search_r1 dialect cannot call the tool '{function.get('name')}'",
            mend="offer only search(query), or choose another dialect",
        )
