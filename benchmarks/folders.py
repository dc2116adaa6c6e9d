"""A model folder for comparisons: random or trained weights, a tokenizer, a chat template both sides know."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from benchmarks.peers import template
from benchmarks.shapes import random_model
from toolwise.systems.fresh import fresh_model
from toolwise.systems.recipe import FreshModel

WORDS = [
    "name",
    "type",
    "string",
    "number",
    "object",
    "description",
    "required",
    "properties",
    "city",
    "date",
    "limit",
    "page",
    "sort",
    "order",
    "user",
    "account",
    "price",
    "amount",
    "currency",
    "country",
    "language",
    "region",
    "status",
    "filter",
    "query",
    "result",
    "list",
    "item",
    "value",
    "time",
    "start",
    "end",
    "format",
    "unit",
    "address",
    "phone",
    "email",
    "message",
    "title",
    "content",
    "file",
    "path",
    "size",
    "width",
    "height",
    "color",
]


def words(count: int, rng: random.Random) -> str:
    """So many words, each a token or two."""
    return " ".join(rng.choices(WORDS, k=count))


def tokenizer_of(texts: list[str]) -> Any:
    """A tokenizer trained on these texts, with the template of Qwen 2.5."""
    # The weights of this model are not used.
    _, tokenizer = fresh_model(FreshModel(hidden_size=16, layers=1, heads=2, vocabulary=2048), texts, 0)
    tokenizer.chat_template = template("qwen2_5.jinja")
    return tokenizer


def random_folder(path: Path, size: str, texts: list[str], seed: int = 0) -> None:
    """Random weights of one of the `SIZES`, and a tokenizer for the texts."""
    tokenizer = tokenizer_of(texts)
    ends = {"eos_token_id": tokenizer.eos_token_id}
    model = random_model(size, seed=seed, vocab_size=len(tokenizer), **ends)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
