"""Few-shot question answering: splits, training with augmentation, F1 and EM (MinPrompt, section 4)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from toolwise.core import RolloutTree, Task, ToolwiseError, Turn, seed_for
from toolwise.data.minprompt.prompts import extract_answer, prompt_source, prompt_target
from toolwise.data.minprompt.sources import Question
from toolwise.learning import Learner, RunFolder, TokenTree
from toolwise.learning.joint import train_joint
from toolwise.learning.seq2seq import IdPair, Seq2SeqLearner, generate_greedily
from toolwise.rewards.text import exact_match, f1_score
from toolwise.sampling import SamplingParams
from toolwise.sampling.engine import EmbeddedSampler
from toolwise.systems.few_shot_best import BestEpoch
from toolwise.systems.few_shot_recipe import FewShotRecipe
from toolwise.systems.fresh import fresh_model
from toolwise.systems.models import load_model

Pair = tuple[str, str]
"""Source and target of a prompt record."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one trained model reached on the test questions.

    Attributes:
        shots: Questions it was trained on.
        seed: Of the run.
        f1: Mean token F1, in [0, 1].
        exact: Mean exact match.
        questions: Number of test questions.
        cut: Test questions whose answer was not finished within the limit of tokens.
    """

    shots: int
    seed: int
    f1: float
    exact: float
    questions: int
    cut: int


def split_by_group(questions: Sequence[Question], share: float) -> tuple[list[Question], list[Question]]:
    """Training and test questions that have no article (or context) in common; the groups' names decide.

    Raises:
        ToolwiseError: There are fewer than two groups.
    """
    groups = sorted(dict.fromkeys(one.group for one in questions), key=lambda name: seed_for("test", name))
    if len(groups) < 2:
        raise ToolwiseError(
            "all questions are of one group", where="split", mend="give a file with more texts"
        )
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    held = set(groups[:count])
    return [one for one in questions if one.group not in held], [
        one for one in questions if one.group in held
    ]


def apart_from(test: Sequence[Question], augmentation: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records that do not come from the context of a test question."""
    forbidden = {" ".join(one.context.split()) for one in test}
    return [row for row in augmentation if " ".join(row["context"].split()) not in forbidden]


def few_shot_split(
    questions: Sequence[Question], shots: int, seed: int
) -> tuple[list[Question], list[Question]]:
    """So many questions to train on, and as many others to develop on; splits of two sizes are not nested.

    The published development set overlaps the training set; this one does not.

    Raises:
        ToolwiseError: There are too few.
    """
    if shots > len(questions):
        raise ToolwiseError(
            f"there are {len(questions)} questions to draw {shots} from", where="shots", mend="draw fewer"
        )
    drawn = random.Random(seed_for("few-shot", shots, seed)).sample(list(questions), len(questions))
    return drawn[:shots], drawn[shots : 2 * shots]


def question_pair(question: Question) -> Pair:
    """The prompt record of a question and its first answer."""
    return (
        prompt_source(question.question, question.context),
        prompt_target(question.question, question.answers[0]),
    )


def pair_tree(name: str, pair: Pair, tokenizer: Any, source_tokens: int) -> TokenTree:
    """A prompt record as what the learner takes: the source is read, the whole target is learned."""
    source, target = pair
    # The question stands first, so that a long context is cut and not the question.
    read = tokenizer.encode(source)[:source_tokens] + tokenizer.encode("\n")
    written = [*tokenizer.encode(target), tokenizer.eos_token_id]
    task = Task(name, ({"role": "user", "content": source},))
    turns = [Turn("prompt", tuple(read), source), Turn("assistant", tuple(written), target)]
    return TokenTree.supervised(RolloutTree.demonstration(task, turns))


def id_pair(pair: Pair, tokenizer: Any, source_tokens: int) -> IdPair:
    """A prompt record as what an encoder-decoder model takes, with the special tokens of its tokenizer."""
    source, target = pair
    return _read_ids(source, tokenizer, source_tokens), tokenizer.encode(target)


def _read_ids(source: str, tokenizer: Any, source_tokens: int) -> list[int]:
    return list(tokenizer.encode(source, truncation=True, max_length=source_tokens))


def train_few_shot(
    recipe: FewShotRecipe,
    training: Sequence[Question],
    augmentation: Sequence[Pair],
    out: Path,
    seed: int,
    texts: Sequence[str] = (),
    development: Sequence[Question] = (),
) -> tuple[Any, Any]:
    """Train one model; the same call goes on where the run in `out` stopped.

    Args:
        recipe: What to do.
        training: The few questions.
        augmentation: Sources and targets beside them.
        out: The run folder.
        seed: Of the fresh weights and the orders.
        texts: What a fresh model's tokenizer is trained on, besides the pairs.
        development: Choose the best epoch, where the recipe says so.

    Returns:
        Model and tokenizer.

    Raises:
        ToolwiseError: No model is given, or what `train_joint` raises.
    """
    pairs = [question_pair(one) for one in training]
    if recipe.model.init is not None:
        seen = [text for pair in (*pairs, *augmentation) for text in pair]
        model, tokenizer = fresh_model(recipe.model.init, [*texts, *seen], seed)
    elif recipe.model.source is not None:
        model, tokenizer = load_model(recipe.model.source, seq2seq=True)
    else:
        raise ToolwiseError(
            "no model is given", where="model.source", mend="add --model DIR, or keep model.init"
        )
    run = RunFolder(out)
    run.write_config(
        recipe.model_dump(mode="json")
        | {"seed": seed, "questions": len(training), "augmentation": len(augmentation)}
    )
    length = recipe.source_tokens

    def material(kind: str, given: Sequence[Pair]) -> Sequence[TokenTree | IdPair]:
        if model.config.is_encoder_decoder:
            return [id_pair(pair, tokenizer, length) for pair in given]
        return [pair_tree(f"{kind}-{number}", pair, tokenizer, length) for number, pair in enumerate(given)]

    per_epoch = -(-len(pairs) // recipe.training.batch_size)
    steps = per_epoch * recipe.training.epochs
    best: BestEpoch | None = None
    if recipe.training.keep == "best":
        if not development:
            raise ToolwiseError(
                "there are no questions left to choose an epoch by",
                where="training.keep",
                mend="draw fewer (shots), or keep the last epoch",
            )

        def answers() -> list[str]:
            return [answer for answer, _ in answer_questions(model, tokenizer, development, recipe)]

        best = BestEpoch(out / "best", development, answers, model, tokenizer, per_epoch)
    kind = Seq2SeqLearner if model.config.is_encoder_decoder else Learner
    learner = kind(model, recipe.learner.settled(max(1, round(steps))))
    train_joint(
        learner,
        material("question", pairs),
        material("augmentation", augmentation) if recipe.training.weight else [],
        run=run,
        batch_size=recipe.training.batch_size,
        epochs=recipe.training.epochs,
        weight=recipe.training.weight,
        seed=seed,
        checkpoint_every=recipe.training.checkpoint_every,
        tokenizer=tokenizer,
        progress=None if best is None else best.after_step,
    )
    run.close()
    if best is not None:
        model = best.load()
    model.eval()
    return model, tokenizer


def completions(
    model: Any, tokenizer: Any, questions: Sequence[Question], recipe: FewShotRecipe
) -> list[tuple[str, bool]]:
    """What is written for each question, greedily, and whether it was cut by the limit of tokens."""
    if model.config.is_encoder_decoder:
        return [_written(model, tokenizer, question, recipe) for question in questions]
    sampler = EmbeddedSampler(model, decode=lambda ids: str(tokenizer.decode(list(ids))))
    params = SamplingParams(
        max_tokens=recipe.answer_tokens, temperature=0.0, stop_token_ids=(tokenizer.eos_token_id,)
    )

    async def one(question: Question) -> tuple[str, bool]:
        source = tokenizer.encode(prompt_source(question.question, question.context))[: recipe.source_tokens]
        sample = await sampler.generate(source + tokenizer.encode("\n"), params)
        ended = bool(sample.token_ids) and sample.token_ids[-1] == tokenizer.eos_token_id
        return str(tokenizer.decode(list(sample.token_ids[: -1 if ended else None]))), not ended

    async def run() -> list[tuple[str, bool]]:
        return list(await asyncio.gather(*(one(question) for question in questions)))

    return asyncio.run(run())


def _written(model: Any, tokenizer: Any, question: Question, recipe: FewShotRecipe) -> tuple[str, bool]:
    prompt = prompt_source(question.question, question.context)
    source = _read_ids(prompt, tokenizer, recipe.source_tokens)
    ids = generate_greedily(model, source, recipe.answer_tokens)
    ended = bool(ids) and ids[-1] == model.config.eos_token_id
    return str(tokenizer.decode(ids, skip_special_tokens=True)), not ended


def answer_questions(
    model: Any, tokenizer: Any, questions: Sequence[Question], recipe: FewShotRecipe
) -> list[tuple[str, bool]]:
    """The answer to each question, greedily, and whether it was cut by the limit of tokens."""
    return [(extract_answer(text), cut) for text, cut in completions(model, tokenizer, questions, recipe)]


def run_few_shot(
    recipe: FewShotRecipe,
    questions: Sequence[Question],
    augmentation: Sequence[dict[str, Any]],
    out: Path,
    say: Callable[[str], None] = print,
) -> list[Scores]:
    """All sizes and seeds of a recipe: train, answer the test questions, write ``scores.json``.

    Augmentation from the contexts of test questions is left out and counted.

    Args:
        recipe: What to do.
        questions: Of the source.
        augmentation: Records with ``source``, ``target`` and ``context``.
        out: The folder.
        say: Hears of each run.
    """
    pool, test = split_by_group(questions, recipe.test_share)
    test = test[: recipe.test_limit]
    usable = apart_from(test, augmentation)
    say(f"{len(pool)} questions to draw from, {len(test)} to test on; {len(usable)} of {len(augmentation)} "
        "records do not come from the contexts of test questions")  # fmt: skip
    pairs = [(row["source"], row["target"]) for row in usable]
    texts = [one.context for one in pool]
    scores = []
    for shots in recipe.shots:
        for seed in recipe.seeds:
            training, development = few_shot_split(pool, shots, seed)
            folder = out / f"shots-{shots}-seed-{seed}"
            model, tokenizer = train_few_shot(recipe, training, pairs, folder, seed, texts, development)
            found = answer_questions(model, tokenizer, test, recipe)
            rows = list(zip(test, found, strict=True))
            scores.append(
                Scores(
                    shots,
                    seed,
                    fmean(f1_score(answer, one.answers) for one, (answer, _) in rows),
                    fmean(exact_match(answer, one.answers) for one, (answer, _) in rows),
                    len(test),
                    sum(cut for _, cut in found),
                )
            )
            lines = [
                json.dumps(
                    {"id": one.id, "question": one.question, "answer": answer, "golds": one.answers},
                    ensure_ascii=False,
                )
                for one, (answer, _) in rows
            ]
            (folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            say(f"{shots} shots, seed {seed}: F1 {scores[-1].f1:.3f}, EM {scores[-1].exact:.3f}")
    (out / "scores.json").write_text(json.dumps([_record(one) for one in scores], indent=1), encoding="utf-8")
    return scores


def summary(scores: Sequence[Scores]) -> list[dict[str, float]]:
    """Mean and population deviation over the seeds, for each number of shots."""
    rows = []
    for shots in dict.fromkeys(one.shots for one in scores):
        these = [one for one in scores if one.shots == shots]
        f1, exact = [one.f1 for one in these], [one.exact for one in these]
        rows.append(
            {
                "shots": shots,
                "seeds": len(these),
                "f1": fmean(f1),
                "f1_sd": pstdev(f1),
                "em": fmean(exact),
                "em_sd": pstdev(exact),
            }
        )
    return rows


def _record(one: Scores) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}
