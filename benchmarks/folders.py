"""A model folder for comparisons: random or trained weights, a tokenizer, a chat template both sides know."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from benchmarks.peers import template
from benchmarks.shapes import random_model
from toolwise.systems.fresh import fresh_model
from toolwise.systems.recipe import FreshModel

WORDS = """
name type string number object description required properties city date limit page sort order user account
price amount currency country language region status filter query result list item value time start end format
unit address phone email message title content file path size width height color
""".split()  # noqa: SIM905


def words(count: int, rng: random.Random) -> str:
    """So many words, each a token or two."""
    return " ".join(rng.choices(WORDS, k=count))


def tokenizer_of(texts: list[str]) -> Any:
    """A tokenizer trained on these texts, with the template of Qwen 2.5."""
    # The weights of this model are not used.
    _, tokenizer = fresh_model(FreshModel(hidden_size=16, layers=1, heads=2, vocabulary=2048), texts, 0)
    tokenizer.chat_template = template("qwen2_5.jinja")
    return tokenizer


# Without the type of its result, which one side would put into the prompt and the other would not.
def look_up(topic: str, region: str, limit: int):
    """Look something up in the list of items.

    Args:
        topic: Title or type of the item.
        region: Country or region of the item.
        limit: Number of items in the result.
    """
    return "item price 12 currency unit\nitem price 15 currency unit"


CALLS = 3
"""How often the trained model calls before it answers."""
ARGUMENTS = {
    "topic": "price of the item in the list by date and amount",
    "region": "country by address",
    "limit": 2,
}
ANSWER = "The price of the item is 12 and the amount of the list is 15, in the order of the date."
INSTRUCTION_WORDS = 130


def questions(count: int, seed: int = 0) -> list[str]:
    """Prompts of a task that takes `CALLS` calls; with the tool's schema they have about 400 tokens."""
    rng = random.Random(seed)
    return [words(INSTRUCTION_WORDS, rng) for _ in range(count)]


def schema() -> dict[str, Any]:
    """The tool as both sides put it into the prompt."""
    from transformers.utils import get_json_schema

    return dict(get_json_schema(look_up))


def calling_folder(path: Path, size: str, steps: int = 75) -> None:
    """A model trained from scratch to call `look_up` three times and then to answer, whatever is asked."""
    import tempfile

    from toolwise.dialects import HermesDialect
    from toolwise.learning import Learner, LearnerConfig, RunFolder, TokenTree, train_supervised
    from toolwise.rollout import demonstration_trees

    function = {"name": "look_up", "arguments": ARGUMENTS}
    turns: list[dict[str, Any]] = []
    for _ in range(CALLS):
        turns.append(
            {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}
        )
        turns.append({"role": "tool", "name": "look_up", "content": look_up("", "", 0)})
    turns.append({"role": "assistant", "content": ANSWER})
    asked = questions(4 * steps, seed=1)
    known = [*asked, json.dumps(schema()), json.dumps(function), ANSWER, look_up("", "", 0)]
    known += 2 * [*known[len(asked) :], template("qwen2_5.jinja")]
    tokenizer = tokenizer_of(known)
    dialect = HermesDialect(tokenizer)
    trees = [
        TokenTree.supervised(tree)
        for number, text in enumerate(asked)
        for tree in demonstration_trees(
            str(number), [{"role": "user", "content": text}, *turns], [schema()], dialect
        )
    ]
    model = random_model(size, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)

    def said(step: int, steps: int, metrics: Any) -> None:
        if step % 25 == 0:
            print(f"learning to call: step {step} of {steps}, loss {metrics['loss']:.3f}", flush=True)

    settings = LearnerConfig(learning_rate=3e-3, schedule="cosine", warmup_steps=10, total_steps=steps)
    with tempfile.TemporaryDirectory() as scratch:
        train_supervised(
            Learner(model, settings),
            trees,
            run=RunFolder(Path(scratch)),
            batch_size=4,
            seed=0,
            steps=steps,
            checkpoint_every=steps,
            progress=said,
        )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def random_folder(path: Path, size: str, texts: list[str], seed: int = 0) -> None:
    """Random weights of one of the `SIZES`, and a tokenizer for the texts."""
    tokenizer = tokenizer_of(texts)
    ends = {"eos_token_id": tokenizer.eos_token_id}
    model = random_model(size, seed=seed, vocab_size=len(tokenizer), **ends)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
