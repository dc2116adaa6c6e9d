"""Public function-calling records as conversations: ToolACE's (arXiv 2409.00920) and xLAM's (2406.18518).

Hammer's records (arXiv 2410.04587) have xLAM's shape; its way of masking names is `masked`.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolwise.core import Message, ToolwiseError, seed_for
from toolwise.core.records import Row
from toolwise.data.call_text import has_calls, read_calls

Conversation = tuple[str, tuple[Message, ...], tuple[Mapping[str, Any], ...]]
"""The fields of a Demonstration: id, messages, tools (OpenAI function objects)."""

NO_TOOL = "None of the given tools can help with this request."
"""What the assistant says in an xLAM-style record without calls, which gives no words for it."""

_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "tool": "tool"}
_MASK = string.ascii_letters + string.digits + "._"


def xlam_conversation(row: Row) -> Conversation:
    """A record ``{id?, query, tools, answers}``: a question, and the calls that answer it.

    ``tools`` and ``answers`` are lists or JSON text of lists. A tool's parameters map names to
    ``{description, type, default}``; a call is ``{name, arguments}``.

    Raises:
        ToolwiseError: A field is missing or has another shape.
    """
    record = _object(row.record)
    query = _text(record, "query")
    tools = tuple(_xlam_tool(tool) for tool in _list(record, "tools"))
    calls = [_call(call) for call in _list(record, "answers")]
    said: dict[str, Any] = {"role": "assistant", "content": "" if calls else NO_TOOL}
    if calls:
        said["tool_calls"] = calls
    return f"xlam-{record.get('id', row.number)}", ({"role": "user", "content": query}, said), tools


def toolace_conversation(row: Row) -> Conversation:
    """A record ``{system, conversations: [{from, value}]}``: tools in the system text, calls as text.

    Tool turns hold a JSON list of ``{name, results}``, or any text.

    Raises:
        ToolwiseError: A field is missing, or a call cannot be read.
    """
    record = _object(row.record)
    functions = _embedded_list(_text(record, "system"))
    tools = tuple(_toolace_tool(tool) for tool in functions)
    names = [tool["function"]["name"] for tool in tools]
    messages: list[Message] = []
    for index, turn in enumerate(_list(record, "conversations")):
        where = f"conversations[{index}]"
        role = _ROLES.get(str(_object(turn, where).get("from")))
        if role is None:
            raise ToolwiseError(
                f"field '{where}.from' is {turn.get('from')!r}", mend=f"known: {list(_ROLES)}"
            )
        value = _text(turn, "value", where)
        if role == "tool":
            messages += _results(value, messages)
        elif role == "assistant" and has_calls(value, names):
            try:
                calls = read_calls(value, names)
            except ToolwiseError as error:
                raise ToolwiseError(f"field '{where}.value': {error.problem}", mend=error.mend) from error
            made = [_call({"name": name, "arguments": arguments}) for name, arguments in calls]
            messages.append({"role": role, "content": "", "tool_calls": made})
        else:
            messages.append({"role": role, "content": value})
    if not messages or messages[0]["role"] != "user":
        raise ToolwiseError(
            "field 'conversations' does not begin with the user", mend="begin with a question"
        )
    return f"toolace-{row.number}", tuple(messages), tools


def masked(conversation: Conversation, seed: int) -> Conversation:
    """The same with random names of tools and parameters, as in Hammer: only descriptions tell what they do.

    Args:
        conversation: With names that its text does not mention, or they stay readable there.
        seed: Decides the names, together with the id.
    """
    identity, messages, tools = conversation
    draw = random.Random(seed_for(seed, "mask", identity))
    taken: set[str] = set()
    names = {tool["function"]["name"]: _fresh(draw, 5, 16, taken) for tool in tools}
    keys = {
        tool["function"]["name"]: {
            key: _fresh(draw, 4, 10, taken) for key in tool["function"]["parameters"]["properties"]
        }
        for tool in tools
    }
    return (
        identity,
        tuple(_masked_message(message, names, keys) for message in messages),
        tuple(_masked_tool(tool["function"], names, keys) for tool in tools),
    )


def _masked_message(
    message: Message, names: Mapping[str, str], keys: Mapping[str, Mapping[str, str]]
) -> Message:
    changed = dict(message)
    if message["role"] == "tool":
        changed["name"] = names.get(message["name"], message["name"])
    if message.get("tool_calls"):
        calls = [call["function"] for call in message["tool_calls"]]
        changed["tool_calls"] = [
            _call(
                {
                    "name": names.get(call["name"], call["name"]),
                    "arguments": {
                        keys.get(call["name"], {}).get(key, key): value
                        for key, value in call["arguments"].items()
                    },
                }
            )
            for call in calls
        ]
    return changed


def _masked_tool(
    function: Mapping[str, Any], names: Mapping[str, str], keys: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Any]:
    name, schema = function["name"], function["parameters"]
    own = keys[name]
    properties = {own[key]: value for key, value in schema["properties"].items()}
    required = [own.get(key, key) for key in schema["required"]]
    return _spec(names[name], function["description"], properties, required)


def _fresh(draw: random.Random, least: int, most: int, taken: set[str]) -> str:
    while True:
        name = "".join(draw.choices(_MASK, k=draw.randint(least, most)))
        if name not in taken:
            taken.add(name)
            return name


def _xlam_tool(tool: Any) -> Mapping[str, Any]:
    properties = _object(tool, "tools").get("parameters") or {}
    if not isinstance(properties, Mapping):
        raise ToolwiseError("the parameters of a tool are no object", mend="map names to descriptions")
    if "properties" in properties and isinstance(properties["properties"], Mapping):
        return _toolace_tool(tool)  # some copies have JSON schemas instead
    required = [
        name
        for name, found in properties.items()
        if isinstance(found, Mapping) and "default" not in found and "optional" not in str(found.get("type"))
    ]
    return _spec(_text(tool, "name", "tools"), tool.get("description"), properties, required)


def _toolace_tool(tool: Any) -> Mapping[str, Any]:
    schema = _object(tool, "tools").get("parameters") or {}
    properties = schema.get("properties") or {} if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        raise ToolwiseError("the parameters of a tool are no JSON schema", mend="give them 'properties'")
    required = schema.get("required") or []
    return _spec(_text(tool, "name", "tools"), tool.get("description"), properties, list(required))


def _spec(
    name: str, description: Any, properties: Mapping[str, Any], required: Sequence[str]
) -> Mapping[str, Any]:
    parameters = {"type": "object", "properties": dict(properties), "required": list(required)}
    function = {"name": name, "description": str(description or ""), "parameters": parameters}
    return {"type": "function", "function": function}


def _call(call: Any) -> dict[str, Any]:
    name, arguments = _object(call, "answers").get("name"), call.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise ToolwiseError("a call has no name, or its arguments are no object", mend="give both")
    return {"type": "function", "function": {"name": name, "arguments": dict(arguments)}}


def _results(value: str, messages: Sequence[Message]) -> Iterator[Message]:
    """One message for each result; a text that is no list of results belongs to the last call."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found and all(isinstance(one, Mapping) and "name" in one for one in found):
        for one in found:
            result = one.get("results", one.get("result"))
            content = result if isinstance(result, str) else json.dumps(result)
            yield {"role": "tool", "name": str(one["name"]), "content": content}
        return
    calls = next((message["tool_calls"] for message in reversed(messages) if message.get("tool_calls")), ())
    name = calls[-1]["function"]["name"] if calls else ""
    yield {"role": "tool", "name": name, "content": value}


def _embedded_list(text: str) -> list[Any]:
    """The first JSON list of objects in a text."""
    place = text.find("[{")
    if place < 0:
        raise ToolwiseError("field 'system' holds no JSON list of tools", mend="is the file ToolACE's?")
    try:
        found, _ = json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError) as error:
        raise ToolwiseError(
            f"the list of tools in 'system' is not JSON: {error}", mend="leave this row out"
        ) from error
    return list(found)


def _list(record: Mapping[str, Any], field: str) -> list[Any]:
    value = record.get(field)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ToolwiseError(f"field '{field}' is not JSON: {error}", mend="give a list") from error
    if not isinstance(value, list | tuple):
        raise ToolwiseError(f"field '{field}' is missing or no list", mend="is the file of this format?")
    return list(value)


def _object(record: Any, where: str = "") -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        problem = f"something in '{where}' is no object" if where else "a record must be an object"
        raise ToolwiseError(problem, mend="is the file of this format?")
    return record


def _text(record: Mapping[str, Any], field: str, where: str = "") -> str:
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        name = f"{where}.{field}" if where else field
        raise ToolwiseError(f"field '{name}' is missing or no text", mend="is the file of this format?")
    return value
