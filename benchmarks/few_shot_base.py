"""A tiny base model that can copy and find, for `benchmarks.few_shot`: a model from scratch can do neither.

``python -m benchmarks.few_shot_base TEXTS --out DIR [--steps 3000] [--seed 0]``. TEXTS is what MinPrompt's
readers read. Every record is made of raw text, in the prompt shape of the few-shot task: a span of a sentence
is the answer, the words around it are the question, some sentences are the context. Contexts grow and
questions lose words as training goes on; a part of the records is of random words, from which copying is
learned first. The model folder is DIR/model; it takes ``--set model.init=null --set model.source=DIR/model``.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.report import finish, table
from toolwise.core import RolloutTree, Task, ToolwiseError, Turn, seed_for
from toolwise.data.minprompt.prompts import MASK, extract_answer, prompt_source, prompt_target
from toolwise.data.minprompt.questions import Refused, check_answerable
from toolwise.data.minprompt.sentences import split_sentences
from toolwise.data.minprompt.sources import Question, Text, collapsed, read_texts, source_files
from toolwise.learning import Learner, LearnerConfig, RunFolder, TokenTree
from toolwise.learning.objectives import SupervisedLossConfig
from toolwise.learning.run_steps import run_steps
from toolwise.rewards.text import exact_match
from toolwise.systems.few_shot import completions
from toolwise.systems.few_shot_recipe import FewShotRecipe
from toolwise.systems.fresh import fresh_model
from toolwise.systems.recipe import FreshModel

KINDS = ("random", "cloze", "question")
HELD_SHARE = 0.1
"""Of the pages, for the measurement."""
SOURCE_WEIGHT = 0.1
"""Of a source's token in the loss: plain language modelling beside the target."""
ANSWER_WEIGHT = 3.0
"""Of an answer's token: the echoed question is many more tokens, and is learned first."""
_WORD = re.compile(r"\w(?:[\w'’.,/-]*\w)?")
_WHO = ("Who", "What", "Which", "Where")
_NUMBER = ("How many", "When", "What year", "How much")

Page = list[str]
"""Its sentences."""


def read_pages(source: Path) -> tuple[list[Page], list[Page]]:
    """Sentences of 6 to 40 words that end in a stop, by file: those to train on, and those held out.

    Raises:
        ToolwiseError: Fewer than two files have such sentences.
    """
    pages: list[Page] = []
    for path in source_files(source):
        lines = [
            line
            for text in read_texts(path, path.name)
            if isinstance(text, Text)
            for line in text.text.splitlines()
        ]
        found = [collapsed(sentence) for line in lines for _, sentence in split_sentences(line)]
        if kept := [one for one in found if one.endswith(".") and 6 <= len(one.split()) <= 40]:
            pages.append(kept)
    if len(pages) < 2:
        raise ToolwiseError(
            "fewer than two files with text", where=str(source), mend="give a folder of pages"
        )
    random.Random(seed_for("held-out pages")).shuffle(pages)
    held = max(1, round(HELD_SHARE * len(pages)))
    return pages[held:], pages[:held]


def common_words(sentences: Sequence[str]) -> list[str]:
    """Words that occur five times, or all of a small text: rare ones are many tokens each."""
    counts = Counter(one[0] for sentence in sentences for one in _WORD.finditer(sentence))
    return sorted(word for word, count in counts.items() if count >= 5) or sorted(counts)


def make_record(
    rng: random.Random, kind: str, pages: Sequence[Page], words: Sequence[str], length: int, noise: float
) -> Question:
    """One question that its context answers.

    Args:
        rng: Decides everything.
        kind: ``random``: of random words, the question stands in the context but for the span. ``cloze``: the
            words around a span of a sentence. ``question``: those words after a question word.
        pages: Where sentences come from.
        words: Where random words come from.
        length: Words of the context, about.
        noise: Each word of the question is left out with this chance, but for random words.
    """
    while True:
        if kind == "random":
            context = [" ".join(rng.choices(words, k=length))]
            place = 0
        else:
            page = rng.choice(pages)
            start = rng.randrange(len(page))
            context = [page[start]]
            for sentence in page[start + 1 :]:
                if sum(len(one.split()) for one in context) + len(sentence.split()) > length:
                    break
                context.append(sentence)
            place = rng.randrange(len(context))
        made = _asked(rng, kind, context[place], 0.0 if kind == "random" else noise)
        whole = " ".join(context)
        try:
            if made is not None:
                check_answerable(*made, whole)
                return Question("", made[0], (made[1],), whole)
        except Refused:
            continue


def _asked(rng: random.Random, kind: str, sentence: str, noise: float) -> tuple[str, str] | None:
    """Question and answer of a span of a sentence, of names and numbers more often than chance has it."""
    found = list(_WORD.finditer(sentence))
    first = rng.randrange(len(found))
    if kind != "random" and rng.random() < 0.7:
        marked = [n for n, one in enumerate(found) if n and (one[0][0].isupper() or one[0][0].isdigit())]
        first = rng.choice(marked or [first])
    last = first
    # A span runs on through a name, and now and then through other words, but over no stop or comma.
    while (
        last + 1 < len(found)
        and last - first < 4
        and sentence[found[last].end() : found[last + 1].start()] == " "
    ):
        name = found[first][0][0].isupper() and found[last + 1][0][0].isupper()
        if rng.random() > (0.9 if name else 0.35):
            break
        last += 1
    near = rng.randint(4, 9)
    answer = sentence[found[first].start() : found[last].end()]
    before = [one[0] for one in found[max(0, first - near) : first] if rng.random() >= noise]
    after = [one[0] for one in found[last + 1 : last + 1 + near] if rng.random() >= noise]
    if len(before) + len(after) < 3:
        return None
    if kind != "question":
        return " ".join([*before, MASK, *after]), answer
    number, name = answer[0].isdigit(), answer[0].isupper()
    opening = rng.choice(_NUMBER if number else _WHO if name else ("What",))
    parts = [before, after] if rng.random() < 0.5 else [after, before]
    return f"{opening} {' '.join(parts[0] + parts[1])}?", answer


def batch_records(
    step: int, steps: int, size: int, seed: int, pages: Sequence[Page], words: Sequence[str], longest: int
) -> list[Question]:
    """The records of one step (from 1); the same arguments give the same records."""
    rng = random.Random(seed_for(seed, "base", step))
    done = step / steps
    made = []
    for _ in range(size):
        chance = rng.random()
        of_random = max(0.1, 0.6 - 1.5 * done)
        kind = "random" if chance < of_random else rng.choice(KINDS[1:])
        length = rng.randint(20, 20 + round((longest - 20) * min(1.0, 1.5 * done)))
        made.append(make_record(rng, kind, pages, words, length, rng.random() * 0.5 * min(1.0, 2 * done)))
    return made


def record_tree(name: str, record: Question, tokenizer: Any, source_tokens: int) -> TokenTree:
    """What the learner takes: all tokens are learned, the source's little and the answer's most."""
    source = prompt_source(record.question, record.context)
    read = tokenizer.encode(source)[:source_tokens] + tokenizer.encode("\n")
    echo = tokenizer.encode(prompt_target(record.question, ""))
    answer = [*tokenizer.encode(f" {record.answers[0]}"), tokenizer.eos_token_id]
    turns = [
        Turn("prompt", tuple(read), weights=(SOURCE_WEIGHT,) * len(read)),
        Turn("assistant", (*echo, *answer), weights=(1.0,) * len(echo) + (ANSWER_WEIGHT,) * len(answer)),
    ]
    task = Task(name, ({"role": "user", "content": source},))
    return TokenTree.supervised(RolloutTree.demonstration(task, turns))


def held_figures(
    model: Any,
    tokenizer: Any,
    pages: Sequence[Page],
    words: Sequence[str],
    longest: int,
    recipe: FewShotRecipe,
    count: int,
) -> Iterator[tuple[str, dict[str, float]]]:
    """For records of each kind from pages that were held out: exact match of the echo and of the answer."""
    for kind in KINDS:
        rng = random.Random(seed_for("held-out records", kind))
        records = [make_record(rng, kind, pages, words, longest, 0.25) for _ in range(count)]
        written = [text for text, _ in completions(model, tokenizer, records, recipe)]
        echoes = [prompt_target(one.question, "") for one in records]
        yield (
            kind,
            {
                "echo": fmean(text.startswith(echo) for text, echo in zip(written, echoes, strict=True)),
                "answer": fmean(
                    exact_match(extract_answer(text), one.answers)
                    for text, one in zip(written, records, strict=True)
                ),
            },
        )


def train_base(
    source: Path,
    out: Path,
    model_shape: FreshModel,
    steps: int,
    size: int,
    rate: float,
    seed: int,
    longest: int,
    recipe: FewShotRecipe,
) -> tuple[Any, Any, dict[str, dict[str, float]]]:
    """Train, measure, and write ``DIR/model``; the same call goes on where a run stopped."""
    pages, held = read_pages(source)
    sentences = [sentence for page in pages for sentence in page]
    words = common_words(sentences)
    shape = prompt_source("Who What Which Where When How many much year?", "")
    model, tokenizer = fresh_model(model_shape, [*sentences, shape], seed)
    run = RunFolder(out / "run")
    run.write_config(
        {"steps": steps, "batch_size": size, "learning_rate": rate, "seed": seed, "longest": longest}
        | {"model": model_shape.model_dump(mode="json"), "source_tokens": recipe.source_tokens}
    )
    config = LearnerConfig(
        learning_rate=rate, schedule="linear", warmup_steps=min(100, steps // 4), total_steps=steps
    )
    learner = Learner(model, config)

    def prepare(step: int) -> list[TokenTree]:
        records = batch_records(step, steps, size, seed, pages, words, longest)
        return [record_tree(str(n), one, tokenizer, recipe.source_tokens) for n, one in enumerate(records)]

    def update(step: int, trees: list[TokenTree]) -> dict[str, float]:
        return learner.step(trees, SupervisedLossConfig())

    def progress(step: int, total: int, metrics: Any) -> None:
        if step % 50 == 0:
            print(f"{step}/{total} loss {metrics['loss']:.3f}", flush=True)

    run_steps(learner, run, steps, prepare, update, seed, 250, tokenizer=tokenizer, progress=progress)
    run.close()
    model.eval()
    figures = dict(held_figures(model, tokenizer, held, words, longest, recipe, 100))
    model.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    return model, tokenizer, figures


def main() -> None:
    """Train, print the figures of the held-out pages, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder of text files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--hidden-size", type=int, default=160)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--longest", type=int, default=90, help="words of a context (default 90)")
    parser.add_argument("--source-tokens", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    shape = FreshModel(
        hidden_size=given.hidden_size,
        layers=given.layers,
        heads=given.heads,
        vocabulary=4096,
        context=1024,
        tags=(MASK,),
    )
    recipe = FewShotRecipe(source_tokens=given.source_tokens, answer_tokens=80)
    model, _, figures = train_base(
        given.source,
        given.out,
        shape,
        given.steps,
        given.batch_size,
        given.learning_rate,
        given.seed,
        given.longest,
        recipe,
    )
    table("exact match, held-out pages", ("echo", "answer"), list(figures.items()))
    parameters = sum(one.numel() for one in model.parameters())
    finish("few_shot_base", {"parameters": parameters, "steps": given.steps} | figures, {})


if __name__ == "__main__":
    main()
