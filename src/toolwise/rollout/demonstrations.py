"""Demonstrations as token trees: rendered by the same dialect that rollouts use, so both see equal tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import Message, RolloutTree, Task, ToolResult, ToolwiseError, Turn
from toolwise.dialects import Dialect


def demonstration_trees(
    name: str,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    dialect: Dialect,
    part: str = "",
) -> list[RolloutTree]:
    """Turn a conversation into trees to imitate, one for each stretch of assistant and tool turns.

    What stands before a stretch is its prompt, rendered exactly as it would be when the policy is asked. A
    conversation in which the user speaks up again later therefore gives several trees, and each assistant
    turn is trained on once.

    Args:
        name: Id for messages.
        messages: OpenAI-style, at least one of them the assistant's.
        tools: OpenAI function objects.
        dialect: How turns are written.
        part: Part of the data that it belongs to; becomes ``info.part`` of the trees' task.

    Raises:
        ToolwiseError: No assistant turn, or a tool turn that follows none.
    """
    trees = []
    place = 0
    while place < len(messages):
        if messages[place]["role"] == "tool":
            raise ToolwiseError(
                f"message {place} is a tool result without a call before it",
                where=f"demonstration '{name}'",
                mend="put the assistant message with its tool_calls before it",
            )
        if messages[place]["role"] != "assistant":
            place += 1
            continue
        if place == 0:
            raise ToolwiseError(
                "the first message is the assistant's",
                where=f"demonstration '{name}'",
                mend="begin with a system or user message",
            )
        prompt = messages[:place]
        end = place
        while end < len(messages) and messages[end]["role"] in ("assistant", "tool"):
            end += 1
        trees.append(_stretch(name, prompt, messages[place:end], tools, dialect, part))
        place = end
    if not trees:
        raise ToolwiseError(
            "no assistant turn, so nothing would be trained on",
            where=f"demonstration '{name}'",
            mend='add a {"role": "assistant", …} message',
        )
    return trees


def _stretch(
    name: str,
    prompt: Sequence[Message],
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    dialect: Dialect,
    part: str,
) -> RolloutTree:
    prompt_ids = dialect.render_prompt(prompt, tools)
    turns = [Turn("prompt", tuple(prompt_ids), text=dialect.parse(prompt_ids).text)]
    results: list[ToolResult] = []
    for message in messages:
        if message["role"] == "tool":
            called, content = str(message.get("name") or ""), str(message.get("content") or "")
            results.append(ToolResult(called, content, id=str(message.get("tool_call_id") or "")))
            continue
        if len(turns) > 1:
            turns.append(_observation(results, dialect))
            results = []
        token_ids = dialect.render_turn(message)
        turns.append(dialect.parse(token_ids).as_turn(token_ids))
    info = {"part": part} if part else {}
    task = Task(name, tuple(prompt), tuple(tools), info=info)
    return RolloutTree.demonstration(task, turns)


def _observation(results: Sequence[ToolResult], dialect: Dialect) -> Turn:
    token_ids = dialect.render_observation(results, closed=True)
    return Turn("tool", tuple(token_ids), text=dialect.parse(token_ids).text, results=tuple(results))
