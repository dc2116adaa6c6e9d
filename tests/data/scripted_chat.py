"""A test double of a chat model: answers by what stands in the conversation, and counts the questions."""

from __future__ import annotations

from toolwise.core import ToolwiseError
from toolwise.sampling.chat import ChatParams, ChatReply

DEFAULT = ChatParams()


class ScriptedChat:
    """Answers conversations from a function, as a `ChatModel`; stands in for an endpoint in tests.

    Args:
        reply: From the system message and the last user message to the answer.
        breaks_after: Number of conversations after which the endpoint is gone; None: never.
    """

    def __init__(self, reply, breaks_after=None):
        self.reply, self.breaks_after = reply, breaks_after
        self.asked = []

    async def chat(self, messages, params=DEFAULT):
        if self.breaks_after is not None and len(self.asked) >= self.breaks_after:
            raise ToolwiseError("the endpoint does not answer", where="scripted", mend="try again later")
        system = next((message["content"] for message in messages if message["role"] == "system"), "")
        user = messages[-1]["content"]
        self.asked.append((system, user))
        said = self.reply(system, user)
        return said if isinstance(said, ChatReply) else ChatReply(said)
