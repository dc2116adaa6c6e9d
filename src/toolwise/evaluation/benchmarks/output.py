"""Output: what a model under test wrote for one item, from wherever it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolwise.core import ErrorKind, Rollout, ToolCall, ToolwiseError
from toolwise.evaluation.benchmarks.calls import call_of_record, calls_in_text

_MEND = (
    'give a text, a list of calls [{"name": …, "arguments": {…}}], or a message '
    '{"content": …, "tool_calls": …}'
)


@dataclass(frozen=True, slots=True)
class Output:
    """What a model wrote.

    Attributes:
        text: Its text, or its final answer.
        given_calls: Its calls where they came apart from the text; None: they are read from the text.
        tool_calls: Tool calls until the answer, ≥ 0; None if not known.
        turns: Of a conversation with several user turns: for each of them the steps of the model.
    """

    text: str = ""
    given_calls: tuple[ToolCall, ...] | None = None
    tool_calls: int | None = None
    turns: tuple[tuple[Output, ...], ...] | None = None

    @property
    def calls(self) -> tuple[ToolCall, ...] | None:
        """The calls of the turn; None if the text is no call at all."""
        return self.given_calls if self.given_calls is not None else calls_in_text(self.text)

    @property
    def readable_calls(self) -> tuple[ToolCall, ...] | None:
        """The calls; None if there is none, or one of them cannot be read."""
        calls = self.calls
        broken = calls is not None and any(call.error is ErrorKind.MALFORMED_CALL for call in calls)
        return None if broken else calls

    @classmethod
    def from_value(cls, value: Any, tool_calls: int | None = None) -> Output:
        """The output that a predictions file gives.

        Args:
            value: A text; a list of calls; an OpenAI-style message; or, for several user turns, a list of
                lists of these.
            tool_calls: Tool calls until the answer.

        Raises:
            ToolwiseError: It is none of these.
        """
        if isinstance(value, str):
            return cls(value, tool_calls=tool_calls)
        if isinstance(value, Mapping):
            return cls.from_message(value, tool_calls)
        if isinstance(value, list) and value and all(isinstance(turn, list) for turn in value):
            turns = tuple(tuple(cls.from_value(step) for step in turn) for turn in value)
            return cls(turns=turns, tool_calls=tool_calls)
        if isinstance(value, list) and all(isinstance(call, Mapping) for call in value):
            return cls(given_calls=tuple(call_of_record(call) for call in value), tool_calls=tool_calls)
        raise ToolwiseError(f"field 'output' is {type(value).__name__}", mend=_MEND)

    @classmethod
    def from_message(cls, message: Mapping[str, Any], tool_calls: int | None = None) -> Output:
        """The output that an OpenAI-style assistant message is; this is where chat models plug in.

        Args:
            message: ``content`` (may be None) and ``tool_calls`` (may be missing). Without tool calls, calls
                are looked for in the content.
            tool_calls: Tool calls until this message.

        Raises:
            ToolwiseError: It is no such message.
        """
        content, calls = message.get("content"), message.get("tool_calls")
        known = {"content", "tool_calls", "role", "reasoning_content"}
        if not isinstance(content, str | None) or not isinstance(calls, list | tuple | None):
            raise ToolwiseError("field 'output' is no message", mend=_MEND)
        if unknown := sorted(message.keys() - known):
            raise ToolwiseError(f"field 'output' has the unknown key '{unknown[0]}'", mend=_MEND)
        given = tuple(call_of_record(call) for call in calls) if calls else None
        return cls(content or "", given, tool_calls)

    @classmethod
    def from_rollout(cls, rollout: Rollout) -> Output:
        """The output that a rollout is: calls of the first turn, final answer, number of calls."""
        written = [turn for turn in rollout.turns if turn.role == "assistant"]
        calls = written[0].calls if written else ()
        text = rollout.answer
        if text is None:
            text = written[-1].text if written else ""
        return cls(text, calls or None, rollout.calls)
