"""Asking the auxiliary model for JSON, and reading its reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from toolwise.core import Message
from toolwise.data.stage import Dropped
from toolwise.dialects.call_json import read_object
from toolwise.sampling.chat import ChatModel, ChatParams

Wanted = TypeVar("Wanted")
ATTEMPTS = 2
"""The second one is told what was wrong with the first."""


async def ask_text(model: ChatModel, system: str, user: str, *, max_tokens: int = 1024) -> str:
    """What the model says.

    Raises:
        Dropped: Nothing.
    """
    messages: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    reply = await model.chat(messages, ChatParams(max_tokens=max_tokens))
    if not reply.content.strip():
        raise Dropped("the auxiliary model said nothing")
    return reply.content.strip()


async def ask_json(model: ChatModel, system: str, user: str, read: Callable[[Any], Wanted]) -> Wanted:
    """What the model says, as JSON that `read` accepts.

    Args:
        model: Whom to ask.
        system: What is wanted, and in which shape.
        user: About what.
        read: Makes something of the JSON value; raises ValueError, KeyError or TypeError where it cannot.

    Raises:
        Dropped: No reply was of that shape.
    """
    messages: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    problem = ""
    for attempt in range(ATTEMPTS):
        reply = await model.chat(messages, ChatParams(seed=attempt))
        try:
            return read(_json_in(reply.content))
        except (ValueError, KeyError, TypeError) as error:
            problem = f"{type(error).__name__}: {error}"
        again = (
            f"That cannot be used ({problem}). Reply with the JSON alone, in the shape that was asked for."
        )
        messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": again}]
    raise Dropped("a reply was not the JSON that was asked for", problem)


def texts(value: Any, key: str) -> list[str]:
    """The list of non-empty texts at a key of an object.

    Raises:
        ValueError: It is none.
    """
    found = value[key]
    if (
        not isinstance(found, list)
        or not found
        or not all(isinstance(one, str) and one.strip() for one in found)
    ):
        raise ValueError(f"'{key}' must be a list of texts that are not empty")
    return [one.strip() for one in found]


def text(value: Any, key: str) -> str:
    """The non-empty text at a key of an object.

    Raises:
        ValueError: It is none.
    """
    found = value[key]
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"'{key}' must be a text that is not empty")
    return found.strip()


def flag(value: Any, key: str) -> bool:
    """The truth value at a key of an object.

    Raises:
        ValueError: It is none.
    """
    found = value[key]
    if not isinstance(found, bool):
        raise ValueError(f"'{key}' must be true or false")
    return found


def _json_in(reply: str) -> Any:
    places = [place for sign in "{[" if (place := reply.find(sign)) >= 0]
    if not places:
        raise ValueError("there is no JSON in it")
    value, _ = read_object(reply, min(places))
    return value
