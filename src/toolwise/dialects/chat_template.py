"""The chat template of a tokenizer, asked only for what comes before and after an assistant turn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from toolwise.core import Message, ToolResult, ToolwiseError

_MARK = "ToolwiseMarkOfTheAssistantTurn"
_PROBE_TOOL = "toolwise_probe_tool"
_PROBE_RESULT = "ToolwiseMarkOfTheToolResult"
_NEEDS_TEMPLATE = "use an instruction-tuned model, or put a chat_template.jinja into its folder"


class ChatTemplate:
    """Renders with a tokenizer's own template (in transformers' sandboxed jinja: templates are untrusted).

    An assistant turn is never rendered by the template. A prompt is everything up to the turn; an observation
    is cut out of a made-up conversation, at the end of its assistant turn. So templates that drop or rewrite
    earlier thoughts cannot change tokens that were already recorded.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        arguments: Passed on to the template, for instance ``{"enable_thinking": False}``.

    Raises:
        ToolwiseError: There is no template, or its assistant turns do not end in a special token.
    """

    def __init__(self, tokenizer: Any, arguments: Mapping[str, Any] | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ToolwiseError(
                "the tokenizer has no chat template", where=_where(tokenizer), mend=_NEEDS_TEMPLATE
            )
        self.tokenizer = tokenizer
        self.arguments = dict(arguments or {})
        self._special = special_tokens(tokenizer)

    def prompt_text(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        several_calls: Callable[[Message], str] | None = None,
    ) -> str:
        """Text of the conversation up to where the assistant starts to write; tool results are harmless.

        Args:
            messages: OpenAI-style.
            tools: OpenAI function objects.
            several_calls: The text of a turn with more than one call, for templates that take one a turn
                (`calls_bare`).
        """

        def shown(message: Message) -> Message:
            if message.get("role") == "tool" and message.get("content"):
                return {**message, "content": self.harmless(message["content"])}
            if several_calls and len(message.get("tool_calls") or ()) > 1 and self.calls_bare:
                return {"role": "assistant", "content": several_calls(message)}
            return message

        return self._render([shown(message) for message in messages], tools, generate=True)

    def encode(self, text: str) -> list[int]:
        """Tokens of rendered text; special tokens in it are recognised, none are added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special ones included, nothing tidied."""
        text = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text)

    @cached_property
    def generation_prompt(self) -> str:
        """What the template writes to let the assistant begin."""
        messages = [{"role": "user", "content": "Hello"}]
        before = self._render(messages, (), generate=False)
        after = self._render(messages, (), generate=True)
        return after[len(before) :] if after.startswith(before) else after

    @cached_property
    def end_token(self) -> str:
        """The special token that ends an assistant turn."""
        tail = self._tail(
            [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": _MARK}], False
        )
        found = self._leading_special(tail)
        if not found:
            raise ToolwiseError(
                f"the chat template ends an assistant turn with {tail[:40]!r}, not with a special token",
                where=_where(self.tokenizer),
                mend="use a template whose turns end in one, and add it to the tokenizer's special tokens",
            )
        return found

    @cached_property
    def end_token_id(self) -> int:
        """Id of `end_token`."""
        return int(self.tokenizer.convert_tokens_to_ids(self.end_token))

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """The end token, and the tokenizer's end of text where it is another one."""
        eos = self.tokenizer.eos_token_id
        return (self.end_token_id,) if eos in (None, self.end_token_id) else (self.end_token_id, int(eos))

    def check_tools(self) -> None:
        """Refuse a template that cannot show tools and their results to the model.

        Raises:
            ToolwiseError: Says what it cannot do.
        """
        _ = self._tool_style

    @property
    def calls_bare(self) -> bool:
        """Whether the template itself writes a call as a bare JSON object, as Llama 3's does."""
        return self.written_call.startswith("{")

    @cached_property
    def written_call(self) -> str:
        """How the template itself writes a turn with the call of a probe; empty where it knows no calls."""
        call = {"name": _PROBE_TOOL, "arguments": {"a": 1}}
        calls = [{"type": "function", "id": call_id(0), "function": call}]
        asked: Message = {"role": "user", "content": "Hello"}
        called: Message = {"role": "assistant", "content": "", "tool_calls": calls}
        try:
            prompt = self._render([asked], (), generate=True)
            text = self._render([asked, called], (), generate=False)
        except ToolwiseError:
            return ""
        turn = text[len(prompt) :].lstrip() if text.startswith(prompt) else ""
        return turn if _PROBE_TOOL in turn else ""

    def after_turn(
        self, results: Sequence[ToolResult], *, closed: bool, role: str = "tool", ids: Sequence[str] = ()
    ) -> list[int]:
        """Tokens between an assistant turn and the next generation.

        Args:
            results: Shown as one message each.
            closed: Whether the turn's end token is there already.
            role: ``tool``, or ``user`` for dialects whose results are plain user messages.
            ids: Of the calls, for templates that show them; made up where none are given.
        """
        messages: list[Message] = [{"role": "user", "content": "Hello"}]
        messages += _assistant(self._tool_style if role == "tool" else "content", len(results))
        for index, result in enumerate(results):
            message = {"role": role, "content": self.harmless(result.content)}
            if role == "tool":
                message |= {"name": result.name, "tool_call_id": ids[index] if ids else call_id(index)}
            messages.append(message)
        tail = self._tail(messages, True)
        if closed:
            tail = tail[tail.index(self.end_token) + len(self.end_token) :]
        return self.encode(tail)

    def harmless(self, text: str) -> str:
        """Special tokens in the text are broken, so that a tool cannot forge a turn."""
        return broken(text, self._special)

    @cached_property
    def _tool_style(self) -> str:
        """How the made-up assistant turn before a tool result must look for this template: checked once."""
        spec = {
            "type": "function",
            "function": {
                "name": _PROBE_TOOL,
                "description": "A probe.",
                "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
            },
        }
        if _PROBE_TOOL not in self._render([{"role": "user", "content": "Hello"}], [spec], generate=True):
            raise ToolwiseError(
                "the chat template does not show tools to the model",
                where=_where(self.tokenizer),
                mend="use a model whose template renders `tools`, or edit the template",
            )
        problem = ""
        for style in ("content", "calls"):
            problem = self._style_problem(style)
            if not problem:
                return style
        raise ToolwiseError(
            problem, where=_where(self.tokenizer), mend="use a template in the style of Qwen's, which appends"
        )

    def _style_problem(self, style: str) -> str:
        result = {"role": "tool", "name": _PROBE_TOOL, "content": _PROBE_RESULT, "tool_call_id": call_id(0)}
        short: list[Message] = [{"role": "user", "content": "Hello"}, *_assistant(style, 1), result]
        earlier: list[Message] = [
            {"role": "user", "content": "Good morning"},
            {"role": "assistant", "content": "Hello to you"},
        ]
        try:
            tail = self._tail(short, True)
            other = self._tail([*earlier, *short], True)
            prompt = self._render(short[:1], (), generate=False)
            grown = self._render(short, (), generate=True)
        except ToolwiseError as error:
            return error.problem
        if _PROBE_RESULT not in tail:
            return "the chat template does not show tool results to the model, after the call"
        if not tail.endswith(self.generation_prompt) or not self._leading_special(tail):
            return (
                "the chat template does not append: a tool result does not stand between two assistant turns"
            )
        if other != tail or not grown.startswith(prompt):
            return "the chat template does not append: what follows a turn depends on what came before it"
        return ""

    def _tail(self, messages: Sequence[Message], generate: bool) -> str:
        """What the template writes after the marked assistant turn of a made-up conversation."""
        text = self._render(messages, (), generate=generate)
        place = text.find(_MARK)
        if place < 0:
            raise ToolwiseError(
                "the chat template does not show the assistant's turn before a tool result",
                where=_where(self.tokenizer),
                mend=_NEEDS_TEMPLATE,
            )
        tail = text[place + len(_MARK) :]
        if not any(message.get("tool_calls") for message in messages):
            return tail
        # The mark is the name of a call: what remains of the call stands before the end of the turn.
        ends = [found for token in self._special if (found := tail.find(token)) >= 0]
        return tail[min(ends) :] if ends else tail

    def _leading_special(self, text: str) -> str:
        matches = [token for token in self._special if text.lstrip().startswith(token)]
        return max(matches, key=len, default="")

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, generate: bool
    ) -> str:
        from jinja2 import TemplateError

        try:
            text = self.tokenizer.apply_chat_template(
                [with_parsed_arguments(message) for message in messages],
                tools=[dict(tool) for tool in tools] or None,
                add_generation_prompt=generate,
                tokenize=False,
                **self.arguments,
            )
        except (TemplateError, TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            roles = ", ".join(str(message.get("role")) for message in messages)
            raise ToolwiseError(
                f"the chat template refuses a conversation of {roles}: {error}",
                where=_where(self.tokenizer),
                mend="fit the messages to the template, or use another model",
            ) from error
        return str(text)


def call_id(index: int) -> str:
    """A made-up id of a call, of the nine characters that Mistral's templates ask for."""
    return f"call{index:05d}"


def special_tokens(tokenizer: Any) -> list[str]:
    """The texts of a tokenizer's special tokens."""
    added = tokenizer.added_tokens_decoder.values()
    return sorted({str(token.content) for token in added if token.special} - {""})


def broken(text: str, marks: Sequence[str]) -> str:
    """The text with a zero-width space after the first character of each mark in it."""
    for mark in marks:
        text = text.replace(mark, mark[0] + "\u200b" + mark[1:])
    return text


def with_parsed_arguments(message: Message) -> dict[str, Any]:
    """A copy in which tool calls have the OpenAI shape, with arguments as objects and not as JSON text.

    Raises:
        ToolwiseError: A call has no name, or its arguments are no object.
    """
    copied = dict(message)
    if copied.get("content") is None:
        copied["content"] = ""
    if not copied.get("tool_calls"):
        copied.pop("tool_calls", None)
        return copied
    calls = []
    for call in copied["tool_calls"]:
        function = call.get("function", call)
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                arguments = None
        if not isinstance(function.get("name"), str) or not isinstance(arguments, Mapping):
            raise ToolwiseError(
                f"a tool call has no name, or its arguments are no object: {str(call)[:100]}",
                mend='write {"type": "function", "function": {"name": …, "arguments": {…}}}',
            )
        outer = {key: value for key, value in call.items() if key in ("id", "type")} | {"type": "function"}
        calls.append(outer | {"function": {"name": function["name"], "arguments": dict(arguments)}})
    copied["tool_calls"] = calls
    return copied


def _assistant(style: str, calls: int) -> list[Message]:
    if style == "content" or not calls:
        return [{"role": "assistant", "content": _MARK}]
    made_up = [
        {"type": "function", "id": call_id(index), "function": {"name": _PROBE_TOOL, "arguments": {}}}
        for index in range(calls)
    ]
    made_up[-1]["function"] = {"name": _MARK, "arguments": {}}
    return [{"role": "assistant", "content": "", "tool_calls": made_up}]


def _where(tokenizer: Any) -> str:
    name = re.sub(r"\s+", " ", str(getattr(tokenizer, "name_or_path", "") or ""))
    return f"tokenizer '{name}'" if name else "tokenizer"
