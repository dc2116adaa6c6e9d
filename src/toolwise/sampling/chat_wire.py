"""The OpenAI chat protocol: what is sent, and how a reply is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import Message
from toolwise.core.endpoint import ChatConfig
from toolwise.sampling.chat import ChatParams, ChatReply

_SEEDS = 2**31
"""Some servers hold a seed in 32 bits."""


def request_body(config: ChatConfig, messages: Sequence[Message], params: ChatParams) -> dict[str, Any]:
    """The JSON body of a request; it holds no key."""
    body: dict[str, Any] = {
        "model": config.model,
        "messages": wire_messages(messages),
        "temperature": params.temperature,
        config.token_limit_key: params.max_tokens,
    }
    if params.top_p < 1:
        body["top_p"] = params.top_p
    if params.stop:
        body["stop"] = list(params.stop)
    if params.seed is not None:
        body["seed"] = params.seed % _SEEDS
    if params.tools:
        body["tools"] = [dict(tool) for tool in params.tools]
    body |= config.extra
    return {name: value for name, value in body.items() if value is not None}


def wire_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as servers want them: calls have an id and arguments as text, results name their call.

    An id that is missing is made from the place of the call (nine letters and digits, which all servers
    take). Thoughts are not sent: servers refuse them, or their templates drop them.
    """
    sent: list[dict[str, Any]] = []
    waiting: list[str] = []
    for place, message in enumerate(messages):
        plain = {key: message[key] for key in ("role", "content", "name") if key in message}
        if calls := message.get("tool_calls"):
            plain["tool_calls"] = [_wire_call(call, place, index) for index, call in enumerate(calls)]
            waiting = [call["id"] for call in plain["tool_calls"]]
        if message.get("role") == "tool":
            following = waiting.pop(0) if waiting else ""
            plain["tool_call_id"] = message.get("tool_call_id") or following
        sent.append(plain)
    return sent


def _wire_call(call: Mapping[str, Any], place: int, index: int) -> dict[str, Any]:
    function = call.get("function", call)
    arguments = function.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    identity = call.get("id") or f"call{place % 1000:03d}{index % 100:02d}"
    return {
        "id": str(identity),
        "type": "function",
        "function": {"name": function["name"], "arguments": text},
    }


def read_reply(data: bytes) -> ChatReply:
    """The reply in a server's answer.

    Raises:
        ValueError: It holds none; says why.
    """
    try:
        answer = json.loads(data)
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error
    except ValueError as error:
        raise ValueError("the reply is not JSON") from error
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise ValueError("the reply has no choices[0].message")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        raise ValueError("the reply's tool_calls are no list of objects")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return ChatReply(
        content=_text(message.get("content")),
        reasoning_content=_text(message.get("reasoning_content") or message.get("reasoning")),
        tool_calls=tuple(_whole(call) for call in calls),
        finish_reason=str(choice.get("finish_reason") or "stop"),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def read_error(data: bytes) -> tuple[str, str]:
    """What a server says is wrong: a message of at most 300 characters, and its code (may be empty)."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return " ".join(data.decode("utf-8", "replace").split())[:300], ""
    error = answer.get("error", answer) if isinstance(answer, Mapping) else answer
    if not isinstance(error, Mapping):
        return " ".join(str(error).split())[:300], ""
    message = error.get("message") or error.get("detail") or json.dumps(error)
    return " ".join(_whole(str(message)).split())[:300], str(error.get("code") or error.get("type") or "")


def _text(content: Any) -> str:
    if isinstance(content, list):  # parts, of which only texts are read
        content = "".join(
            str(part.get("text") or "")
            for part in content
            if isinstance(part, Mapping) and part.get("type") in ("text", "output_text")
        )
    return str(_whole(content)) if isinstance(content, str) else ""


def _whole(value: Any) -> Any:
    """The value without lone surrogates, which no file can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(_whole(key)): _whole(part) for key, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list) else value


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
