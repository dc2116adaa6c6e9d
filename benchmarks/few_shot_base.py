"""A tiny base model that can copy and find, for `benchmarks.few_shot`: a model from scratch can do neither.

``python -m benchmarks.few_shot_base TEXTS --out DIR [--steps 6000] [--seed 0]``. TEXTS is what MinPrompt's
readers read. Every record is made of raw text, in the prompt shape of the few-shot task: a span of running
text, or of random words, is the answer, the words around it are the question, some more are the context.
Records begin with a few words, because copying is not learned from long ones in any short time; they grow,
and questions lose words. The model folder is DIR/model (``--set model.init=null --set
model.source=DIR/model``). A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.report import finish, table
from toolwise.core import ToolwiseError, seed_for
from toolwise.data.minprompt.prompts import MASK, extract_answer, prompt_source, prompt_target
from toolwise.data.minprompt.sentences import split_sentences
from toolwise.data.minprompt.sources import Question, Text, read_texts, source_files
from toolwise.learning import Learner, LearnerConfig, RunFolder, TokenTree
from toolwise.learning.objectives import SupervisedLossConfig
from toolwise.learning.run_steps import run_steps
from toolwise.rewards.text import exact_match, normalize_answer
from toolwise.systems.few_shot import completions, pair_tree, question_pair
from toolwise.systems.few_shot_recipe import FewShotRecipe
from toolwise.systems.fresh import fresh_model
from toolwise.systems.recipe import FreshModel

KINDS = ("random", "cloze", "question")
HELD_SHARE = 0.1
"""Of the pages, for the measurement."""
COMMON = 3000
"""Random words are among so many common ones: most of them are one token each."""
GROWTH = (0.15, 0.75)
"""Records grow between these shares of the run, by the same factor at each step."""
_BARE = re.compile(r"\w.*\w|\w")
_OPENINGS = {
    "number": ("How many", "When", "What year", "How much"),
    "name": ("Who", "What", "Which", "Where"),
}

Page = list[str]
"""Its words, marks included."""


def read_pages(source: Path) -> tuple[list[Page], list[Page]]:
    """The words of the sentences of 6 to 40 words, file by file: those to train on, and those held out.

    Raises:
        ToolwiseError: Fewer than two files have enough.
    """
    pages: list[Page] = []
    for path in source_files(source):
        texts = [text.text for text in read_texts(path, path.name) if isinstance(text, Text)]
        lines = [line for text in texts for line in text.splitlines()]
        found = [sentence.split() for line in lines for _, sentence in split_sentences(line)]
        # Headings and rows of tables end in no stop.
        page = [word for one in found if 6 <= len(one) <= 40 and one[-1].endswith(".") for word in one]
        if len(page) >= 20:
            pages.append(page)
    if len(pages) < 2:
        raise ToolwiseError("fewer than two files with text", where=str(source), mend="give more pages")
    random.Random(seed_for("held-out pages")).shuffle(pages)
    held = max(1, round(HELD_SHARE * len(pages)))
    return pages[held:], pages[:held]


def common_words(pages: Sequence[Page]) -> list[str]:
    """The most frequent words, without marks."""
    counts = Counter(_bare(word) for page in pages for word in page)
    return [word for word, _ in counts.most_common(COMMON) if word]


def make_record(
    rng: random.Random, kind: str, pages: Sequence[Page], words: Sequence[str], level: float, noise: float
) -> Question:
    """One question that its context answers, and that does not hold the answer.

    Args:
        rng: Decides everything.
        kind: ``random``: of random words. ``cloze``: of running text, the span is masked. ``question``: the
            words around the span without marks, after a question word.
        pages: Running text.
        words: Random words.
        level: About half the words of the longest context, ≥ 1.
        noise: Chance of each word of the question to be left out.
    """
    while True:
        near = rng.randint(min(3, int(level)), min(12, int(level) + 1))
        size = rng.choices((1, 2, 3, 4), (5, 3, 1, 1))[0] if level >= 2 else 1
        length = near + size + sum(rng.randint(0, int(level)) for _ in range(2))
        if kind == "random":
            context = rng.choices(words, k=length)
        else:
            page = rng.choice(pages)
            start = rng.randrange(max(1, len(page) - length))
            context = page[start : start + length]
        made = _asked(rng, kind, context, near, size, noise)
        if made is not None:
            return Question("", made[0], (made[1],), " ".join(context))


def _asked(
    rng: random.Random, kind: str, words: Sequence[str], near: int, size: int, noise: float
) -> tuple[str, str] | None:
    """Question and answer of a span of `size` words; None where they are no good."""
    places = range(len(words) - size + 1)
    if kind != "random" and rng.random() < 0.7:
        # Real questions mostly ask for names and numbers.
        places = [n for n in places if (n and words[n][0].isupper()) or words[n][0].isdigit()] or places
    first = rng.choice(places)
    span = words[first : first + size]
    before = rng.randint(max(0, near - (len(words) - first - size)), min(near, first)) if near else 0
    around = [words[max(0, first - before) : first], words[first + size : first + size + near - before]]
    kept = [[word for word in side if rng.random() >= noise] for side in around]
    whole = " ".join(span)
    answer = _bare(whole)
    # A span runs over no mark.
    if not answer or any(_bare(word) != word for word in answer.split()):
        return None
    if kind == "question":
        sides = [" ".join(filter(None, map(_bare, side))) for side in kept]
        if rng.random() < 0.5:
            sides.reverse()
        sort = "number" if answer[0].isdigit() else "name" if answer[0].isupper() else ""
        question = " ".join([rng.choice(_OPENINGS.get(sort, ("What",))), *filter(None, sides)]) + "?"
    else:
        question = " ".join([*kept[0], whole.replace(answer, MASK, 1), *kept[1]])
    asked = f" {normalize_answer(question.replace(MASK, ' '))} "
    wanted = normalize_answer(answer)
    return (question, answer) if wanted and asked.strip() and f" {wanted} " not in asked else None


def _bare(word: str) -> str:
    found = _BARE.search(word)
    return found[0] if found else ""


def level_at(step: int, steps: int, longest: float) -> float:
    """How long records are at a step: 1 at first, `longest` in the end."""
    begin, end = GROWTH
    return float(longest ** min(1.0, max(0.0, (step / steps - begin) / (end - begin))))


def batch_records(
    step: int, steps: int, size: int, seed: int, pages: Sequence[Page], words: Sequence[str], longest: float
) -> list[Question]:
    """The records of one step (from 1); the same arguments give the same records."""
    rng = random.Random(seed_for(seed, "base", step))
    level = level_at(step, steps, longest)
    grown = min(1.0, max(0.0, (level - 5) / 15))
    made = []
    for _ in range(size):
        weights = (0.5 - 0.4 * grown, 0.4 - 0.1 * grown, 0.1 + 0.5 * grown)
        kind = rng.choices(KINDS, weights)[0]
        made.append(make_record(rng, kind, pages, words, level, 0.5 * grown * rng.random()))
    return made


def held_figures(
    model: Any,
    tokenizer: Any,
    pages: Sequence[Page],
    words: Sequence[str],
    level: float,
    recipe: FewShotRecipe,
    count: int,
) -> dict[str, dict[str, float]]:
    """Exact match of the echoed question and of the answer, for records of each kind from `pages`."""
    figures = {}
    for kind in KINDS:
        rng = random.Random(seed_for("held-out records", kind))
        records = [make_record(rng, kind, pages, words, level, 0.25) for _ in range(count)]
        written = [text for text, _ in completions(model, tokenizer, records, recipe)]
        rows = list(zip(written, records, strict=True))
        figures[kind] = {
            "echo": fmean(text.startswith(prompt_target(one.question, "")) for text, one in rows),
            "answer": fmean(exact_match(extract_answer(text), one.answers) for text, one in rows),
        }
    return figures


def train(
    model: Any, tokenizer: Any, given: argparse.Namespace, pages: Sequence[Page], words: Sequence[str]
) -> None:
    """The steps that are left of the run in DIR/run."""
    run = RunFolder(given.out / "run")
    run.write_config(
        {name: value for name, value in vars(given).items() if name not in ("source", "out", "held")}
    )
    config = LearnerConfig(
        learning_rate=given.learning_rate,
        schedule="linear",
        warmup_steps=min(50, given.steps // 4),
        total_steps=given.steps,
    )
    learner = Learner(model, config)

    def prepare(step: int) -> list[TokenTree]:
        records = batch_records(step, given.steps, given.batch_size, given.seed, pages, words, given.level)
        return [
            pair_tree(str(number), question_pair(one), tokenizer, given.source_tokens)
            for number, one in enumerate(records)
        ]

    def update(_: int, trees: list[TokenTree]) -> dict[str, float]:
        return learner.step(trees, SupervisedLossConfig())

    def progress(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step % 50 == 0:
            level = level_at(step, steps, given.level)
            print(f"{step}/{steps} level {level:.1f} loss {metrics['loss']:.3f}", flush=True)

    run_steps(
        learner, run, given.steps, prepare, update, given.seed, 250, tokenizer=tokenizer, progress=progress
    )
    run.close()
    model.eval()


def main() -> None:
    """Train, print the figures of the held-out pages, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder of texts, a page a file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--level", type=float, default=50.0, help="half the words of the longest context")
    parser.add_argument("--source-tokens", type=int, default=256)
    parser.add_argument("--held", type=int, default=100, help="records of each kind in the measurement")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pages, held = read_pages(given.source)
    words = common_words(pages)
    sizes = {name: getattr(given, name) for name in ("hidden_size", "layers", "heads", "vocabulary")}
    shape = prompt_source(" ".join(word for words in _OPENINGS.values() for word in words), "")
    texts = [*(" ".join(page) for page in pages), shape, shape]
    model, tokenizer = fresh_model(FreshModel(**sizes, context=1024, tags=(MASK,)), texts, given.seed)
    train(model, tokenizer, given, pages, words)
    recipe = FewShotRecipe(source_tokens=given.source_tokens, answer_tokens=80)
    figures = held_figures(model, tokenizer, held, words, given.level, recipe, given.held)
    model.save_pretrained(given.out / "model")
    tokenizer.save_pretrained(given.out / "model")
    table("exact match, held-out pages", ("echo", "answer"), list(figures.items()))
    size = sum(one.numel() for one in model.parameters())
    finish("few_shot_base", {"parameters": size, "steps": given.steps, "held_out": figures}, {})


if __name__ == "__main__":
    main()
