"""Chat models: text in, text out, for teachers, judges, scripted users and models under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from toolwise.core import Message, ToolwiseError


@dataclass(frozen=True, slots=True)
class ChatParams:
    """How a reply is written.

    Attributes:
        temperature: ≥ 0; 0 is greedy.
        max_tokens: Most tokens of the reply, ≥ 1.
        stop: Texts that end the reply.
        seed: Passed on where the server takes one; also tells samples of one prompt apart in the cache.
        tools: OpenAI function objects that may be called.
        top_p: Nucleus, in (0, 1].
    """

    temperature: float = 0.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a chat model wrote.

    Attributes:
        content: The text; empty where it only calls tools.
        reasoning_content: The thought, where the server gives one apart.
        tool_calls: OpenAI-style calls.
        finish_reason: As the server says: ``stop``, ``length``, ``tool_calls`` …
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
    """

    content: str
    reasoning_content: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatUnavailableError(ToolwiseError):
    """The model did not answer, however often it was asked; it may do so later."""


class ChatBudgetError(ToolwiseError):
    """What may be spent is spent."""


class ContextLengthError(ToolwiseError):
    """The conversation is longer than the model can read."""


class ChatModel(Protocol):
    """Anything that answers a conversation."""

    async def chat(self, messages: Sequence[Message], params: ChatParams = ChatParams()) -> ChatReply:
        """The reply to OpenAI-style messages.

        Raises:
            ToolwiseError: The model cannot be reached, or refuses for good.
        """
        ...
