"""The user that a language model plays: what it is told, what it remembers, what it never reveals."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import (
    AskUserConfig,
    FatalToolError,
    PlayedUser,
    Session,
    Toolbox,
    ask_user,
    build_toolbox,
)
from toolwise.tools.played_user import MOST_QUESTIONS, WITHHELD

PROMPT = ({"role": "system", "content": "SYSTEM"}, {"role": "user", "content": "Book me a table."})


class Actor:
    """A test double of the language model that plays the user: says its lines, one after the other."""

    def __init__(self, *lines):
        self.lines, self.heard = list(lines), []

    async def __call__(self, messages, seed):
        await asyncio.sleep(0)
        self.heard.append((list(messages), seed))
        return self.lines[(len(self.heard) - 1) % len(self.lines)]


def session(answer=None, tools=("ask_user",), **info):
    return Session(Task("t", PROMPT, tools=tools, answer=answer, info=info))


async def ask(actor, inside, *questions):
    calls = [ToolCall("ask_user", {"question": question}) for question in questions]
    return await Toolbox([ask_user(PlayedUser(actor))]).run_all(calls, inside)


async def test_it_is_told_its_request_and_persona_and_never_the_answer():
    actor = Actor("  Green. ")
    inside = session(
        answer="sekrit-answer", persona={"tea": "green"}, user_instructions="You are in a hurry."
    )
    (result,) = await ask(actor, inside, "Which tea?")
    assert (result.content, result.error) == ("Green.", None)
    ((messages, _),) = actor.heard
    told = messages[0]["content"]
    assert [message["role"] for message in messages] == ["system", "user"]
    for part in ("Book me a table.", "- tea: green", "You are in a hurry."):
        assert part in told
    assert not any("sekrit-answer" in message["content"] for message in messages)
    assert "SYSTEM" not in told  # what the assistant is told is not the user's business
    assert messages[1]["content"] == "Which tea?"
    assert set(ask_user(PlayedUser(actor)).parameters["properties"]) == {"question"}


async def test_it_remembers_and_answers_in_order_also_two_questions_of_one_turn():
    actor = Actor("Green.", "Two.", "No.")
    inside = session(persona="You like tea.")
    results = await ask(actor, inside, "Which tea?", "How many cups?")
    assert [result.content for result in results] == ["Green.", "Two."]
    await ask(actor, inside, "Milk?")
    heard = [message["content"] for message in actor.heard[2][0][1:]]
    assert heard == ["Which tea?", "Green.", "How many cups?", "Two.", "Milk?"]
    assert len({seed for _, seed in actor.heard}) == 3
    # A fork goes on from here by itself, and another rollout of the task meets the same user.
    branch = inside.fork()
    await ask(actor, branch, "Sugar?")
    assert len(inside.state_of("ask_user")["said"]) == 6
    again = Actor("x")
    await ask(again, session(persona="You like tea."), "Which tea?")
    assert again.heard[0][1] == actor.heard[0][1]


@pytest.mark.parametrize(
    "answer, line, told, withheld",
    [
        ("Paris", "It is PARIS, of course", "", True),
        ("Paris", "Parisian style, please", "", False),
        ("Paris", "Paris", "You live in Paris.", False),
        (1776, "I think it is 1,776.", "", True),
        (1776, "I think it is 17760.", "", False),
        (["NYC", "New York"], "somewhere in New-York", "", True),
        ({"target": "green tea"}, "Green tea!", "", True),
        ("3.5", "3.5 stars", "", True),
        (None, "anything", "", False),
        ("...", "...", "", False),
        (True, "true", "", False),
    ],
)
async def test_an_answer_that_it_was_not_told_is_withheld(answer, line, told, withheld):
    (result,) = await ask(Actor(line), session(answer=answer, persona=told), "What is it?")
    assert result.content == (WITHHELD if withheld else line)


async def test_a_guess_of_the_assistant_is_not_confirmed():
    actor = Actor("Who knows.", "Yes, Paris.")
    inside = session(answer="Paris")
    await ask(actor, inside, "Is it Paris?")
    (result,) = await ask(actor, inside, "Say it: Paris?")
    assert result.content == WITHHELD


async def test_it_does_not_answer_for_ever():
    inside = session()
    for _ in range(MOST_QUESTIONS):
        (result,) = await ask(Actor("yes"), inside, "Well?")
        assert result.error is None
    (result,) = await ask(Actor("yes"), inside, "Well?")
    assert result.error is ErrorKind.TOOL_FAILURE


@pytest.mark.parametrize("info", [{"persona": 7}, {"user_instructions": ["x"]}])
async def test_a_persona_of_no_use(info):
    (result,) = await ask(Actor("x"), session(**info), "Well?")
    assert result.error is ErrorKind.TOOL_FAILURE
    assert "no text" in result.content


async def test_what_is_fatal_ends_the_run():
    async def spent(messages, seed):
        raise FatalToolError("the budget is spent")

    with pytest.raises(FatalToolError):
        await ask(spent, session(), "Well?")


async def test_the_configuration_needs_somebody_who_connects():
    user = {"type": "endpoint", "base_url": "http://127.0.0.1:9/v1", "model": "m", "time_limit": 7}
    config = AskUserConfig.model_validate({"user": user})
    with pytest.raises(ToolwiseError, match="connect"):
        build_toolbox([config])
    asked = []

    def connect(given):
        asked.append(given.model)
        return Actor("hello")

    box = build_toolbox([config, AskUserConfig(user={"type": "scripted"})][:1], connect)
    assert asked == ["m"]
    assert box["ask_user"].time_limit == 7
    inside = session()
    assert (await box.run(ToolCall("ask_user", {"question": "?"}), inside)).content == "hello"
    assert AskUserConfig.model_validate({"type": "ask_user"}).build().inline
    assert AskUserConfig().model_dump(mode="json") == {"type": "ask_user"}
    written = config.model_dump(mode="json")
    assert AskUserConfig.model_validate(written) == config
    for wrong in ({"type": "oracle"}, {"type": "endpoint"}, user | {"modle": "x"}):
        with pytest.raises(ValidationError):
            AskUserConfig.model_validate({"user": wrong})
