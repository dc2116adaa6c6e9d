"""Knowledge-aware sample revision (KSR): the answer, rewritten around what the model knows already."""

from __future__ import annotations

from typing import Literal

from toolwise.core import Message
from toolwise.data.stage import Dropped, Record, Work
from toolwise.sampling.chat import ChatModel, ChatParams

Revision = Literal["ksr", "sr", "none"]

KSR = """\
You improve answers that a language model will be trained on. You get a query, its present answer, and what
that model itself knows of the matter. Rewrite the answer so that it still does what the query asks, is right
and complete, and builds on the model's own knowledge wherever that knowledge is right and to the point. Leave
out what is wrong in it. Write the new answer and nothing else."""
SR = """\
You improve answers that a language model will be trained on. You get a query and its present answer. Rewrite
the answer so that it does what the query asks, and is right and complete. Write the new answer and nothing
else."""


def revise(model: ChatModel, kind: Revision, max_tokens: int = 1024) -> Work:
    """The work of the stage that adds ``revised``.

    Args:
        model: The reviser.
        kind: ``ksr``: with the model's own knowledge; ``sr``: without (the paper's baseline); ``none``: the
            answer stays as it is.
        max_tokens: Of the answer.
    """

    async def work(row: Record) -> list[Record]:
        if kind == "none":
            return [row | {"revised": row["answer"]}]
        user = f"Query: {row['query']}\n\nPresent answer: {row['answer']}"
        if row["system"]:
            user = f"The model's instructions: {row['system']}\n\n{user}"
        if kind == "ksr":
            user += f"\n\nThe model's own knowledge: {row['internal']}"
        messages: list[Message] = [
            {"role": "system", "content": KSR if kind == "ksr" else SR},
            {"role": "user", "content": user},
        ]
        reply = await model.chat(messages, ChatParams(max_tokens=max_tokens))
        revised = reply.content.strip()
        if not revised:
            raise Dropped("the reviser said nothing")
        if reply.finish_reason == "length":
            raise Dropped("the revised answer was cut", revised)
        return [row | {"revised": revised}]

    return work
