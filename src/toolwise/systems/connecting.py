"""Endpoints that play a part in a run beside the policy: the user of `ask_user`."""

from __future__ import annotations

from collections.abc import Sequence

from toolwise.core import Message, ToolwiseError
from toolwise.core.endpoint import ChatConfig
from toolwise.sampling import ChatParams, ChatUnavailableError, EndpointChat
from toolwise.tools import EndpointUserConfig, FatalToolError, ToolError
from toolwise.tools.played_user import Say


def connect_user(config: EndpointUserConfig) -> Say:
    """What lets a model behind an endpoint play the user.

    An endpoint that does not answer is a failed call, which the policy reads; one that refuses for good, or
    a budget that is spent, ends the run: a policy must not learn from a user who is never there.
    """
    client = EndpointChat(ChatConfig(**config.model_dump(include=set(ChatConfig.model_fields))))

    async def say(messages: Sequence[Message], seed: int) -> str:
        params = ChatParams(config.temperature, config.max_tokens, seed=seed)
        try:
            return (await client.chat(messages, params)).content
        except ChatUnavailableError as error:
            raise ToolError("the user does not answer just now") from error
        except ToolwiseError as error:
            raise FatalToolError(
                error.problem, where=f"tool 'ask_user', {error.where}", mend=error.mend
            ) from error

    return say
