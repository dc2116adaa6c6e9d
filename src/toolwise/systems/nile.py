"""NILE's models: whose knowledge is extracted, and what tells consistency."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from toolwise.core import RolloutTree, Task, ToolwiseError, Turn
from toolwise.data.nile import Completion, word_cosine
from toolwise.data.nile.pipeline import Score
from toolwise.data.stage import Dropped, Record
from toolwise.sampling import ChatModel, ChatParams, SamplingParams
from toolwise.systems.chat_targets import chat_model

ScoreName = Literal["embedding", "likelihood", "words"]

_NEXT = "\nQuery:"
"""Where the base model would go on with the next query."""


class LocalBase:
    """The model that is to be trained, in this process, as it is before training.

    Args:
        source: Model folder, run folder or hub id.

    Raises:
        ToolwiseError: It cannot be loaded.
    """

    def __init__(self, source: str) -> None:
        from toolwise.sampling.engine import EmbeddedSampler
        from toolwise.systems.models import load_model

        self.model, self.tokenizer = load_model(source)
        self.model.eval()
        self._sampler = EmbeddedSampler(
            self.model, decode=lambda ids: str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
        )

    async def complete(self, text: str, max_tokens: int) -> str:
        """Go on with a text, greedily, up to the next query.

        Raises:
            Dropped: The text does not fit into the context.
        """
        ids = self._ids(text)
        if len(ids) >= self._sampler.context_length:
            raise Dropped("the prompt does not fit into the model's context", f"{len(ids)} tokens")
        end = self.tokenizer.eos_token_id
        params = SamplingParams(
            max_tokens=max_tokens,
            temperature=0.0,
            stop=(_NEXT,),
            stop_token_ids=() if end is None else (int(end),),
        )
        sample = await self._sampler.generate(ids, params)
        return str(self.tokenizer.decode(list(sample.token_ids), skip_special_tokens=True))

    def gain(self, query: str, knowledge: str, answer: str) -> float:
        """What the knowledge does for the answer: log p(a | q, ik) − log p(a | q), nats a token.

        Raises:
            Dropped: They do not fit into the context together.
        """
        import numpy as np
        import torch

        from toolwise.learning import TokenTree, pack, token_logprobs
        from toolwise.learning.packing import unpacked

        target = tuple(self.tokenizer(f" {answer}", add_special_tokens=False)["input_ids"])
        trees = []
        for name, middle in (("with", f"\nKnowledge: {knowledge}"), ("without", "")):
            prompt = tuple(self._ids(f"Query: {query}{middle}\nAnswer:"))
            if len(prompt) + len(target) > self._sampler.context_length:
                tokens = f"{len(prompt) + len(target)} tokens"
                raise Dropped("query, knowledge and answer do not fit into the model's context", tokens)
            task = Task(name, ({"role": "user", "content": query},))
            turns = [Turn("prompt", prompt), Turn("assistant", target)]
            trees.append(TokenTree.supervised(RolloutTree.demonstration(task, turns)))
        batches = pack(trees, 4096)
        device = next(self.model.parameters()).device
        with torch.no_grad():
            values = [token_logprobs(self.model, batch.to(device))[0] for batch in batches]
        known, alone = (float(np.sum(found)) for found in unpacked(trees, batches, values))
        return (known - alone) / len(target)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])


def chat_completion(model: ChatModel) -> Completion:
    """A chat model in the place of the base model: the few-shot text is one user message."""

    async def complete(text: str, max_tokens: int) -> str:
        return (
            await model.chat([{"role": "user", "content": text}], ChatParams(max_tokens=max_tokens))
        ).content

    return complete


def base_of(model: str | None, endpoint: str | None, cache: Path) -> tuple[Completion, LocalBase | None, str]:
    """Whose knowledge is extracted: its completion, itself if it is in this process, and its name.

    Args:
        model: Folder or hub id of a model in this process.
        endpoint: A chat model instead, see `chat_model`.
        cache: Of the endpoint's replies.

    Raises:
        ToolwiseError: None or both are given, or it cannot be loaded.
    """
    if (model is None) == (endpoint is None):
        raise ToolwiseError(
            "the model to be trained must be named once",
            where="--model, --base",
            mend="give a folder or hub id with --model, or an endpoint with --base",
        )
    if model is not None:
        base = LocalBase(model)
        return base.complete, base, model
    return chat_completion(chat_model(str(endpoint), cache)), None, str(endpoint)


def score_of(name: ScoreName, base: LocalBase | None, encoder: str | None) -> Score:
    """What tells consistency.

    Args:
        name: ``embedding``: cosine of sentence embeddings; ``likelihood``: `LocalBase.gain`; ``words``:
            cosine of word counts.
        base: For ``likelihood``.
        encoder: For ``embedding``: folder or hub id of a sentence encoder.

    Raises:
        ToolwiseError: What it needs is not given.
    """
    if name == "words":

        async def by_words(row: Record) -> float:
            return word_cosine(row["internal"], row["revised"])

        return by_words
    if name == "likelihood":
        if base is None:
            raise ToolwiseError(
                "needs the probabilities of the model to be trained, which an endpoint does not give",
                where="--score likelihood",
                mend="give the model itself with --model, or another score",
            )
        own = base

        async def by_likelihood(row: Record) -> float:
            return own.gain(row["query"], row["internal"], row["revised"])

        return by_likelihood
    if encoder is None:
        raise ToolwiseError(
            "needs a sentence encoder",
            where="--score embedding",
            mend="name one with --encoder, or --score words",
        )
    from toolwise.tools.dense_index import Encoder

    made: Any = Encoder(encoder, query_prefix="", passage_prefix="")

    async def by_embedding(row: Record) -> float:
        left, right = made.queries([row["internal"], row["revised"]])
        return float(left @ right)

    return by_embedding
