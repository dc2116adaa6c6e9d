"""The almanac's agent: its pretraining material, its tools, and what the base model recalls by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from toolwise.core import RolloutTree, Task, Turn
from toolwise.learning import TokenTree
from toolwise.sampling import Sampler, SamplingParams
from toolwise.tools import SearchIndex, Toolbox, ask_user, calculator, search_tool
from toolwise.worlds.almanac.questions import Question
from toolwise.worlds.almanac.text import pretraining_documents
from toolwise.worlds.almanac.world import Almanac

_TEXT = Task("text", ({"role": "user", "content": "text"},))
LONGEST_BELIEF = 6
"""Tokens that a recalled value may have."""


def almanac_toolbox(world: Almanac) -> Toolbox:
    """Search over the encyclopaedia as it is now, a calculator, and the user."""
    index = SearchIndex.from_texts(world.encyclopaedia())
    return Toolbox([search_tool(index, top_k=1), calculator(), ask_user()])


class PretrainingText(Sequence[TokenTree]):
    """The documents of some passes over the text as trees to imitate, each made when it is asked for.

    Args:
        world: What the text is about.
        tokenizer: A document is closed by its padding token.
        epochs: Which passes.
        limit: Most documents, from the first on.
    """

    def __init__(
        self, world: Almanac, tokenizer: Any, epochs: Iterable[int], limit: int | None = None
    ) -> None:
        """Tokenise all of it."""
        passes = (document for epoch in epochs for document in pretraining_documents(world, epoch))
        documents = list(islice(passes, limit))
        self._end = int(tokenizer.pad_token_id)
        self._token_ids: list[list[int]] = tokenizer(documents)["input_ids"] if documents else []

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._token_ids)

    def __getitem__(self, index: Any) -> Any:
        """One document, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        first, *rest = self._token_ids[index]
        turns = [Turn("prompt", (first,)), Turn("assistant", (*rest, self._end))]
        return TokenTree.supervised(RolloutTree.demonstration(_TEXT, turns))


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
