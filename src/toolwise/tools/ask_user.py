"""ask_user: asks the user, scripted (the answers stand in the task) or played by a language model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from toolwise.tools.played_user import PlayedUser
from toolwise.tools.session import Session
from toolwise.tools.tool import Tool, ToolError

NO_PREFERENCE = "I have no preference."


def reply(persona: Mapping[str, object], question: str) -> str:
    """What the persona says to a question.

    Args:
        persona: Topic → answer.
        question: Answered by the longest topic whose words stand in it, one after the other (case does not
            matter; of two topics of one length, the first).

    Returns:
        The answer, or `NO_PREFERENCE` where no topic fits.
    """
    asked = f" {_words(question)} "
    best, answer = 0, NO_PREFERENCE
    for topic, text in persona.items():
        words = _words(topic)
        if words and len(words) > best and f" {words} " in asked:
            best, answer = len(words), str(text)
    return answer


def ask(question: str, session: Session) -> str:
    """Ask the user something that only they can know, such as a preference.

    Args:
        question: The question to the user.
        session: The rollout's session; the persona is ``task.info["persona"]``.

    Raises:
        ToolError: The task has something else than a mapping there.
    """
    persona = session.task.info.get("persona") or {}
    if not isinstance(persona, Mapping):
        raise ToolError("the user cannot be reached: the task's persona is not a mapping of topic to answer")
    return reply(persona, question)


def ask_user(user: PlayedUser | None = None) -> Tool:
    """The tool ``ask_user(question)``.

    Args:
        user: Played by a language model; None is the scripted user.
    """
    if user is None:
        return Tool.from_function(ask, name="ask_user", inline=True)

    async def ask_played(question: str, session: Session) -> str:
        return await user.reply(question, session)

    scripted = ask_user()
    return Tool(
        scripted.name, scripted.description, scripted.parameters, ask_played, time_limit=user.time_limit
    )


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
