"""The contract of a dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import ErrorKind, Message, ToolResult
from toolwise.dialects import Dialect
from toolwise.testing.contracts.requirement import require

_ASK: tuple[Message, ...] = ({"role": "user", "content": "What is 6 * 7?"},)
_SPEC = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluate an expression.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
    },
}
_CALL = {"name": "calculator", "arguments": {"expression": "6 * 7"}}
_RESULTS = (
    ToolResult("calculator", "42"),
    ToolResult("calculator", "Error: it is broken", ErrorKind.TOOL_FAILURE),
)


def check_dialect(
    dialect: Dialect,
    messages: Sequence[Message] = _ASK,
    tools: Sequence[Mapping[str, Any]] = (_SPEC,),
    results: Sequence[ToolResult] = _RESULTS,
    call: Mapping[str, Any] = _CALL,
) -> None:
    """Check a dialect on a prompt, a turn with a call, a turn with an answer, and an observation.

    What it renders it reads back; a rendered turn ends as a sampled one would; an observation only adds the
    end token where the turn has none (and nothing where turns end at stop strings); tools change the prompt;
    and no token sequence makes it raise.

    Args:
        dialect: What is checked.
        messages: A conversation up to the assistant's turn.
        tools: OpenAI function objects; none for a dialect whose prompts describe them in their own text.
        results: Of the calls of a turn.
        call: A call that the dialect can write, as ``{"name": …, "arguments": {…}}``.

    Raises:
        AssertionError: Says what is broken.
    """
    require(isinstance(dialect, Dialect), "it lacks a method or an attribute of toolwise.dialects.Dialect")
    require(
        bool(dialect.stop_token_ids or dialect.stop_strings), "nothing ends a turn: no stop token, no string"
    )
    prompt = dialect.render_prompt(messages, tools)
    require(_tokens(prompt), "render_prompt does not give token ids")
    require(prompt == dialect.render_prompt(messages, tools), "render_prompt gives other tokens each time")
    if tools:
        require(prompt != dialect.render_prompt(messages, ()), "the prompt does not show the tools")
    asked = _round_trip(
        dialect, {"content": "", "tool_calls": [{"type": "function", "function": dict(call)}]}
    )
    require(
        [(each.name, dict(each.arguments), each.error) for each in asked.calls]
        == [(call["name"], call["arguments"], None)],
        f"a rendered call is read back as {asked.calls}",
    )
    require(asked.answer is None, "a turn with a call is read as an answer")
    said = _round_trip(dialect, {"content": "It is 42", "reasoning_content": "I work it out"})
    require(said.answer is not None and "42" in said.answer, f"an answer is read back as {said.answer!r}")
    require("I work it out" in said.thought, f"a thought is read back as {said.thought!r}")
    require(not said.calls, "an answer is read as a call")
    closed = dialect.render_observation(results, closed=True)
    left_open = dialect.render_observation(results, closed=False)
    require(_tokens(closed) and _tokens(left_open), "render_observation does not give token ids")
    require(
        (left_open[-len(closed) :] == closed and len(left_open) > len(closed))
        or (bool(dialect.stop_strings) and left_open == closed),
        "the observation after an open turn is not an end token and then that after a closed one",
    )


def _round_trip(dialect: Dialect, message: Message) -> Any:
    token_ids = dialect.render_turn({"role": "assistant"} | dict(message))
    require(_tokens(token_ids), "render_turn does not give token ids")
    if dialect.stop_strings:
        text = dialect.parse(token_ids).text
        require(text.endswith(tuple(dialect.stop_strings)), "a rendered turn does not end in a stop string")
    elif dialect.stop_token_ids:
        require(token_ids[-1] in dialect.stop_token_ids, "a rendered turn does not end in a stop token")
        require(
            not set(token_ids[:-1]) & set(dialect.stop_token_ids),
            "a rendered turn has a stop token inside it",
        )
    # A sampled turn can be cut or garbled anywhere.
    for place in range(len(token_ids)):
        for broken in (token_ids[:place], token_ids[place:], [*token_ids[place:], *token_ids[:place]]):
            try:
                dialect.parse(broken)
            except Exception as error:
                raise AssertionError(
                    f"parse raises {type(error).__name__} on a broken turn: {error}"
                ) from error
    return dialect.parse(token_ids)


def _tokens(token_ids: Sequence[int]) -> bool:
    return len(token_ids) > 0 and all(isinstance(token, int) and token >= 0 for token in token_ids)
