"""From selected sentences and their entities to questions, and the filter for answerable ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from toolwise.core import Message
from toolwise.data.minprompt.clauses import Unnatural
from toolwise.data.minprompt.entities import Entity
from toolwise.data.minprompt.grammar import natural_question
from toolwise.data.minprompt.prompts import MASK, cloze_question
from toolwise.data.minprompt.published import published_question
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.sources import collapsed
from toolwise.rewards.text import f1_score, normalize_answer
from toolwise.sampling.chat import ChatModel, ChatParams

WRITER = (
    "You write questions for reading comprehension. You get a sentence and an answer that stands in it. "
    "Write one natural question in English that the sentence answers with exactly this answer. The question "
    "must not contain the answer and must be clear without the sentence. Write the question alone."
)
READER = "Answer the question with a short phrase that stands in the text. Write the phrase alone."


class Refused(Exception):  # noqa: N818 - it is an outcome, no error
    """A question that is not asked; the text says why."""


def make_question(
    sentence: str, entity: Entity, entities: Sequence[Entity], settings: MinPromptSettings
) -> tuple[str, str, str]:
    """A question by the settings' route, which route it came by, and why not by grammar.

    Raises:
        Refused: There is none.
    """
    route, why = settings.questions, ""
    if route == "template":
        try:
            return natural_question(sentence, entity, entities), "template", ""
        except Unnatural as reason:
            if settings.fallback == "none":
                raise Refused(str(reason)) from reason
            route, why = settings.fallback, str(reason)
    if route == "cloze":
        return cloze_question(sentence, entity.start, entity.end), "cloze", why
    question = published_question(sentence, entity.text, entity.label, double_mark=settings.published)
    return question, "published", why


def check_answerable(question: str, answer: str, context: str) -> None:
    """Let through what can be answered from the context and does not give the answer away.

    Raises:
        Refused: The answer does not stand in the context, the question holds it, or there is hardly a
        question.
    """
    if collapsed(answer) not in collapsed(context):
        raise Refused("the answer does not stand in the context")
    wanted = normalize_answer(answer).split()
    words = normalize_answer(question.replace(MASK, " ")).split()
    if not wanted:
        raise Refused("the answer is empty without marks and articles")
    if any(words[place : place + len(wanted)] == wanted for place in range(len(words))):
        raise Refused("the question holds the answer")
    if len(words) < 2:
        raise Refused("the question is too short")


async def ask_writer(model: ChatModel, sentence: str, answer: str) -> str:
    """A question by a model.

    Raises:
        Refused: What it wrote is none.
    """
    user = f"Sentence: {sentence}\nAnswer: {answer}"
    messages: list[Message] = [{"role": "system", "content": WRITER}, {"role": "user", "content": user}]
    reply = await model.chat(messages, ChatParams(max_tokens=100))
    question = collapsed(reply.content)
    if not question.endswith("?"):
        raise Refused("what the model wrote is no question")
    return question


async def check_reader(model: ChatModel, question: str, answer: str, context: str, least: float) -> None:
    """Let through what a model answers rightly from the context.

    Raises:
        Refused: Its answer has a smaller F1.
    """
    user = f"Text: {context}\nQuestion: {question}"
    messages: list[Message] = [{"role": "system", "content": READER}, {"role": "user", "content": user}]
    reply = await model.chat(messages, ChatParams(max_tokens=50))
    if f1_score(collapsed(reply.content), [answer]) < least:
        raise Refused("a reading model answers otherwise")


def gathered(tasks: Sequence[object]) -> list[object]:
    """Run coroutines together; a `Refused` is given back as it is, any other error is raised."""

    async def run() -> list[object]:
        return list(await asyncio.gather(*tasks, return_exceptions=True))  # type: ignore[call-overload]

    found = asyncio.run(run())
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, Refused):
            raise one
    return found
