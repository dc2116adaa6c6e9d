"""The almanac's agent: its pretraining material, its tools, and what the base model recalls by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from toolwise.core import RolloutTree, Task, Turn
from toolwise.sampling import Sampler, SamplingParams
from toolwise.tools import SearchIndex, Toolbox, ask_user, calculator, search_tool
from toolwise.worlds.almanac.questions import Question
from toolwise.worlds.almanac.text import pretraining_documents
from toolwise.worlds.almanac.world import Almanac

LONGEST_BELIEF = 6
"""Tokens that a recalled value may have."""


def almanac_toolbox(world: Almanac) -> Toolbox:
    """Search over the encyclopaedia as it is now, a calculator, and the user."""
    index = SearchIndex.from_texts(world.encyclopaedia())
    return Toolbox([search_tool(index, top_k=1), calculator(), ask_user()])


def pretraining_trees(world: Almanac, tokenizer: Any, epochs: Sequence[int]) -> list[RolloutTree]:
    """The documents of some passes over the text, each a tree with one path."""
    trees = []
    for epoch in epochs:
        documents = list(pretraining_documents(world, epoch))
        for document, token_ids in zip(documents, tokenizer(documents)["input_ids"], strict=True):
            task = Task("text", ({"role": "user", "content": document},))
            turns = [
                Turn("prompt", tuple(token_ids[:1])),
                Turn("assistant", (*token_ids[1:], tokenizer.pad_token_id)),
            ]
            trees.append(RolloutTree.demonstration(task, turns))
    return trees


def recall(questions: Sequence[Question], sampler: Sampler, tokenizer: Any) -> list[str]:
    """What the model believes: its likeliest completion of each question's recall sentence."""
    stop = tuple(
        token for text in (".", ". ") for token in tokenizer(text, add_special_tokens=False)["input_ids"][:1]
    )
    params = SamplingParams(LONGEST_BELIEF, temperature=0.0, stop_token_ids=(*stop, tokenizer.pad_token_id))

    async def complete() -> list[str]:
        stems = [tokenizer(question.recall.rstrip())["input_ids"] for question in questions]
        samples = await asyncio.gather(*(sampler.generate(stem, params) for stem in stems))
        return [tokenizer.decode(sample.token_ids).split(".")[0].strip() for sample in samples]

    return asyncio.run(complete())
