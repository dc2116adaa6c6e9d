"""Internal knowledge extraction (IKE): what the model to be trained has to say of a query by itself."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from toolwise.core import Message, seed_for
from toolwise.data.stage import Dropped, Record, Work
from toolwise.sampling.chat import ChatModel, ChatParams
from toolwise.tools import SearchIndex

Completion = Callable[[str, int], Awaitable[str]]
"""Goes on with a text, for at most so many tokens: the base model, which follows no instructions."""

WRITE_KNOWLEDGE = """\
For the query below, write down the knowledge that helps to answer it: facts, definitions, rules, things to
watch out for. Do not answer the query itself. A short paragraph, nothing else."""
_HEAD = "Each query is followed by the knowledge that helps to answer it.\n\n"
_QUERY, _KNOWLEDGE, _END = "Query: ", "Knowledge: ", "\n\n"


@dataclass(frozen=True, slots=True)
class KnowledgeExample:
    """A demonstration of extraction.

    Attributes:
        id: Of the row that it was made of.
        query: q^d.
        knowledge: ik^d, by the strong model.
    """

    id: str
    query: str
    knowledge: str


def demonstrations_of(model: ChatModel, max_tokens: int = 512) -> Work:
    """The work of the stage that writes ``knowledge`` for the sample queries.

    Args:
        model: The strong model.
        max_tokens: Of the knowledge.
    """

    async def work(row: Record) -> list[Record]:
        messages: list[Message] = [
            {"role": "system", "content": WRITE_KNOWLEDGE},
            {"role": "user", "content": _QUERY + row["query"]},
        ]
        reply = await model.chat(messages, ChatParams(max_tokens=max_tokens))
        knowledge = _paragraph(reply.content)
        if not knowledge:
            raise Dropped("the strong model wrote no knowledge")
        return [{"id": row["id"], "query": row["query"], "knowledge": knowledge}]

    return work


def sample_queries(rows: Sequence[Record], count: int, seed: int) -> list[Record]:
    """The rows that demonstrations are made of: a seeded sample, in the order of the rows."""
    chosen = random.Random(seed_for(seed, "nile demonstrations")).sample(
        range(len(rows)), min(count, len(rows))
    )
    return [rows[place] for place in sorted(chosen)]


def knowledge_prompt(query: str, examples: Sequence[KnowledgeExample]) -> str:
    """The few-shot text that the base model goes on with."""
    shown = [f"{_QUERY}{one.query}\n{_KNOWLEDGE}{one.knowledge}{_END}" for one in examples]
    return f"{_HEAD}{''.join(shown)}{_QUERY}{query}\n{_KNOWLEDGE.rstrip()}"


def extract_knowledge(
    complete: Completion,
    examples: Sequence[KnowledgeExample],
    *,
    shots: int = 2,
    retrieval: Literal["bm25", "fixed"] = "bm25",
    max_tokens: int = 256,
) -> Work:
    """The work of the stage that adds ``internal``: ik, the model's own knowledge of the query.

    Args:
        complete: The model that is to be trained.
        examples: Of the strong model.
        shots: k; 2 in the paper's main setting.
        retrieval: ``bm25``: the examples whose queries are most alike; ``fixed``: the first ones.
        max_tokens: Of the knowledge.
    """
    index = SearchIndex.from_texts([one.query for one in examples])

    async def work(row: Record) -> list[Record]:
        shown = retrieved(index, examples, row, shots, retrieval)
        said = await complete(knowledge_prompt(row["query"], shown), max_tokens)
        internal = _paragraph(said.partition(f"\n{_QUERY.strip()}")[0])
        if not internal:
            raise Dropped("the model has nothing to say of it")
        return [row | {"internal": internal, "shown": [one.id for one in shown]}]

    return work


def retrieved(
    index: SearchIndex,
    examples: Sequence[KnowledgeExample],
    row: Record,
    shots: int,
    retrieval: Literal["bm25", "fixed"],
) -> list[KnowledgeExample]:
    """The k examples for a row, the most alike last; never its own, which would hand it foreign knowledge.

    Where fewer share a word with the query, the first ones fill up.
    """
    found: list[KnowledgeExample] = []
    if retrieval == "bm25":
        ranked = index.search(row["query"], shots + 1)
        found = [examples[int(passage.id)] for passage in ranked]
    found = [one for one in dict.fromkeys([*found, *examples]) if one.id != row["id"]][:shots]
    return found[::-1]


def _paragraph(text: str) -> str:
    plain = text.strip().removeprefix(_KNOWLEDGE.strip()).strip()
    return plain.partition("\n\n")[0].strip()
