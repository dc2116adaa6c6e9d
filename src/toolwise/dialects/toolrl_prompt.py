"""ToolRL's prompt: any tools and any conversation, as the two messages that its models are trained on.

The wording of the system message and the two placeholder thoughts are those of the ToolRL project
(https://github.com/qiancheng0/ToolRL, Apache-2.0): a model trained on them gets worse when they change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from toolwise.core import Message, ToolwiseError
from toolwise.dialects.chat_template import with_parsed_arguments

OPENING = (
    "You are a helpful multi-turn dialogue assistant capable of leveraging tool calls to solve user tasks "
    "and provide structured chat responses."
)
_RULES = """\
**Steps for Each Turn**
1. **Think:** Recall relevant context and analyze the current user goal.
2. **Decide on Tool Usage:** If a tool is needed, specify the tool and its parameters.
3. **Respond Appropriately:** If a response is needed, generate one while maintaining consistency across \
user queries.

**Output Format**
```plaintext
<think> Your thoughts and reasoning </think>
<tool_call>
{"name": "Tool name", "parameters": {"Parameter name": "Parameter content", "... ...": "... ..."}}
{"name": "... ...", "parameters": {"... ...": "... ...", "... ...": "... ..."}}
...
</tool_call>
<response> AI's final response </response>
```

**Important Notes**
1. You must always include the `<think>` field to outline your reasoning. Provide at least one of \
`<tool_call>` or `<response>`. Decide whether to use `<tool_call>` (possibly multiple times), `<response>`, \
or both.
2. You can invoke multiple tool calls simultaneously in the `<tool_call>` fields. Each tool call should be \
a JSON object with a "name" field and an "parameters" field containing a dictionary of parameters. If no \
parameters are needed, leave the "parameters" field an empty dictionary.
3. Refer to the previous dialogue records in the history, including the user's queries, previous \
`<tool_call>`, `<response>`, and any tool feedback noted as `<obs>` (if exists)."""
_HISTORY = "**Dialogue Records History**"

CALLING_THOUGHT = "I should use the appropriate tool with proper parameters to respond to the user's need."
"""The thought of a reference turn that calls, where none is known."""
RESPONDING_THOUGHT = "I should directly respond to the user's need."
"""The thought of a reference turn that only responds, where none is known."""


def toolrl_prompt(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> tuple[Message, Message]:
    """A conversation and its tools as ToolRL's system and user message.

    Args:
        messages: OpenAI-style. A system message at the start takes the place of the opening line; the rest is
            pasted into the history.
        tools: OpenAI function objects.

    Raises:
        ToolwiseError: As in `toolrl_system` and `toolrl_history`.
    """
    opening = OPENING
    if messages and messages[0].get("role") == "system":
        opening, messages = str(messages[0].get("content") or OPENING), messages[1:]
    return (
        {"role": "system", "content": toolrl_system(tools, opening)},
        {"role": "user", "content": toolrl_history(messages)},
    )


def toolrl_system(tools: Sequence[Mapping[str, Any]], opening: str = OPENING) -> str:
    """The system message: an opening line, the tools, the steps of a turn, its format, and notes.

    Of each parameter it shows description, type and default (an empty text where there is none), as the
    published data does, and after them what else its schema says (``enum``, ``items``).

    Args:
        tools: OpenAI function objects, or the inner objects with ``name``, ``description``, ``parameters``.
        opening: The role of the assistant, in a line.

    Raises:
        ToolwiseError: A tool has no name, or its parameters are no JSON schema of an object.
    """
    shown = []
    for number, tool in enumerate(tools, start=1):
        name, description, parameters = _tool(tool)
        listed = json.dumps({key: _parameter(value) for key, value in parameters.items()})
        shown.append(f"{number}. Name: {name}\nDescription: {description}\nParameters: {listed}\n")
    return (
        f"{opening}\n\n**Available Tools**\nIn your response, you can use the following tools:\n"
        f"{''.join(shown)}\n{_RULES}"
    )


def toolrl_history(messages: Sequence[Message]) -> str:
    """The user message: all that was said so far, with its tags.

    The results of calls stand on the line after the turn that called; what anybody says next, after a blank
    line. A turn without a thought gets a placeholder.

    Args:
        messages: Of the roles ``user``, ``assistant`` and ``tool``.

    Raises:
        ToolwiseError: A message has another role, or a call that cannot be written.
    """
    blocks: list[str] = []
    for role, group in groupby(messages, key=lambda message: message.get("role")):
        if role == "tool":
            said = f"{blocks.pop()}\n" if blocks else ""
            blocks.append(said + toolrl_results(list(group)))
        elif role == "user":
            blocks += [f"<user> {message.get('content') or ''} </user>" for message in group]
        elif role == "assistant":
            blocks += [toolrl_turn(with_thought(message)) for message in group]
        else:
            raise ToolwiseError(
                f"a message of the role {role!r} has no place in ToolRL's history",
                mend="put the system message first, and only user, assistant and tool messages after it",
            )
    return f"{_HISTORY}\n" + "\n\n".join(blocks)


def toolrl_results(results: Sequence[Message]) -> str:
    """Tool results in their tag: a list with the name and the result of each; JSON is shown as JSON.

    Like all JSON of the published data it is ASCII.
    """
    shown = [
        {"name": str(result.get("name") or ""), "results": _json_or_text(str(result.get("content") or ""))}
        for result in results
    ]
    return f"<obs> {json.dumps(shown)} </obs>"


def toolrl_turn(message: Message) -> str:
    """An assistant message as a turn with its tags; content that holds the tags already is taken as it is.

    Raises:
        ToolwiseError: A call has no name, or its arguments are no object.
    """
    plain = with_parsed_arguments(message)
    content, thought = plain["content"], plain.get("reasoning_content") or ""
    calls = [call["function"] for call in plain.get("tool_calls", ())]
    if not thought and not calls and _has_tags(content):
        return str(content)
    blocks = [f"<think> {thought} </think>"]
    if calls:
        lines = (json.dumps({"name": call["name"], "parameters": call["arguments"]}) for call in calls)
        blocks.append("\n".join(["<tool_call>", *lines, "</tool_call>"]))
    if content:
        blocks.append(f"<response> {content} </response>")
    return "\n".join(blocks)


def with_thought(message: Message) -> Message:
    """An assistant message with one of the placeholder thoughts where it has none."""
    if message.get("reasoning_content") or _has_tags(message.get("content") or ""):
        return message
    thought = CALLING_THOUGHT if message.get("tool_calls") else RESPONDING_THOUGHT
    return {**message, "reasoning_content": thought}


def _has_tags(content: str) -> bool:
    return "<think>" in content or "<response>" in content


def _tool(tool: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
    function = tool.get("function", tool)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ToolwiseError(
            f"a tool has no name: {str(tool)[:100]}", mend="give OpenAI function objects with a name"
        )
    schema = function.get("parameters") or {}
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        raise ToolwiseError(
            f"the parameters of tool '{function['name']}' are no JSON schema of an object",
            mend='write {"type": "object", "properties": {…}}',
        )
    return function["name"], str(function.get("description") or ""), properties


def _parameter(schema: Any) -> dict[str, Any]:
    known = dict(schema) if isinstance(schema, Mapping) else {}
    first = {key: known.pop(key, "") for key in ("description", "type", "default")}
    return first | {key: value for key, value in known.items() if key not in ("title", "required")}


def _json_or_text(text: str) -> Any:
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
