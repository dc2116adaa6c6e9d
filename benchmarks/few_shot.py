"""Does a covering subset of a text's sentences teach what the whole text does? MinPrompt's claim, measured.

``python -m benchmarks.few_shot SQUAD.json [--shots 64] [--seeds 42 43 44 45 46] [--out DIR]``. A small model
learns from a few real questions, and beside them from questions made of: nothing (``none``), MinPrompt's
dominating set (``cover``), as many sentences drawn at random for each seed (``random``), or all sentences
(``all``). Steps, questions, weights and test are the same in all four; no sentence of a test context is
learnt from. A model from scratch answers nothing after a few questions; `benchmarks.few_shot_base` makes one
that can copy and find. A run that was stopped goes on where it was, given --out.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from benchmarks.report import finish, table
from toolwise.core import RolloutTree, Task, Turn, seed_for
from toolwise.data.minprompt import (
    MinPromptSettings,
    StageReport,
    entity_stage,
    graph_stage,
    question_stage,
    read_questions,
    read_stage,
    read_stage_texts,
    record_stage,
    select_stage,
    sentence_stage,
    stage_path,
)
from toolwise.data.minprompt.prompts import prompt_source, prompt_target
from toolwise.data.minprompt.stage import write_stage
from toolwise.learning import Learner, LearnerConfig, TokenTree
from toolwise.learning.objectives import SupervisedLossConfig

ARMS = ("none", "random", "cover", "all")
MEASURES = ("f1", "em", "nll")
PAIRS = (("cover", "random"), ("cover", "all"), ("cover", "none"), ("all", "none"))

Sentence = tuple[str, str]
"""Its text's id, and itself."""


def every_record(source: Path, out: Path) -> tuple[dict[Sentence, list[Any]], list[Sentence]]:
    """The records of every sentence, and the sentences that cover the others."""
    import pyarrow as pa

    settings = MinPromptSettings()
    read_stage_texts(source, out, settings)
    for stage in (sentence_stage, entity_stage, graph_stage, select_stage):
        stage(out, settings)
    everything, _ = read_stage(stage_path(out, "entities"))
    cover, _ = read_stage(stage_path(out, "selected"))
    # The later stages ask about whatever stands in the file of selected sentences.
    picked = everything.append_column("gain", pa.array([0] * len(everything)))
    count = len(everything)
    write_stage(stage_path(out, "selected"), picked, "every sentence", StageReport("selected", count, count))
    question_stage(out, settings)
    record_stage(out, settings)
    owners = {row["id"]: _sentence(row) for row in read_stage(stage_path(out, "questions"))[0].to_pylist()}
    records: dict[Sentence, list[Any]] = {_sentence(row): [] for row in everything.to_pylist()}
    for row in read_stage(stage_path(out, "records"))[0].to_pylist():
        records[owners[row["id"]]].append(row)
    return records, [_sentence(row) for row in cover.to_pylist()]


def _sentence(row: dict[str, Any]) -> Sentence:
    return row["text_id"], row["sentence"]


def chosen(arm: str, seed: int, sentences: Collection[Sentence], cover: Sequence[Sentence]) -> list[Sentence]:
    """Sentences that an arm asks about."""
    if arm == "random":
        return random.Random(seed_for("random sentences", seed)).sample(list(sentences), len(cover))
    return list({"none": (), "cover": cover, "all": sentences}[arm])


def paired(mine: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Mean difference over the seeds, and its 95 % interval by the t distribution; two seeds or more."""
    from scipy.stats import ttest_1samp

    differences = [first - second for first, second in zip(mine, other, strict=True)]
    low, high = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    return {"difference": fmean(differences), "low": float(low), "high": float(high)}


def reachable(questions: Sequence[Any], tokenizer: Any, source_tokens: int) -> float:
    """Share of the questions of which an answer still stands in the source where it is cut."""
    cut = [
        tokenizer.decode(tokenizer.encode(prompt_source(one.question, one.context))[:source_tokens])
        for one in questions
    ]
    return fmean(
        any(answer in text.partition("Context:")[2] for answer in one.answers)
        for one, text in zip(questions, cut, strict=True)
    )


def answer_loss(model: Any, tokenizer: Any, questions: Sequence[Any], source_tokens: int) -> float:
    """Negative log-likelihood of the first answer, in nats a token, after the source and the echoed question.

    It tells models apart that are too weak for F1 to do so.
    """
    trees = []
    for one in questions:
        source = prompt_source(one.question, one.context)
        read = tokenizer.encode(source)[:source_tokens] + tokenizer.encode("\n")
        read += tokenizer.encode(prompt_target(one.question, ""))
        written = (*tokenizer.encode(f" {one.answers[0]}"), tokenizer.eos_token_id)
        task = Task(one.id, ({"role": "user", "content": source},))
        turns = [Turn("prompt", tuple(read)), Turn("assistant", written)]
        trees.append(TokenTree.supervised(RolloutTree.demonstration(task, turns)))
    return Learner(model, LearnerConfig()).evaluate(trees, SupervisedLossConfig())["loss"]


def summary(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Mean and population deviation over the seeds of each measure, arm by arm."""
    return {
        arm: {
            key: value
            for name in MEASURES
            for key, value in (
                (name, fmean(one[name] for one in found)),
                (f"{name}_sd", pstdev(one[name] for one in found)),
            )
        }
        for arm, found in runs.items()
    }


def differences(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """What `paired` says of each measure of each pair of arms."""
    return {
        f"{name}: {one} - {other}": paired(*([run[name] for run in runs[arm]] for arm in (one, other)))
        for name in MEASURES
        for one, other in PAIRS
        if one in runs and other in runs and len(runs[one]) > 1
    }


def main() -> None:
    """Train every arm with every seed, print the tables, then the line of JSON."""
    from toolwise.systems.few_shot import apart_from, run_few_shot, split_by_group
    from toolwise.systems.few_shot_recipe import load_few_shot
    from toolwise.systems.models import load_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, help="SQuAD's JSON, or MRQA")
    parser.add_argument("--shots", type=int, default=64, help="real questions (default 64)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--out", type=Path, help="where the runs are kept (default: nowhere)")
    given = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in given.arms}
    sizes: dict[str, list[int]] = {arm: [] for arm in given.arms}
    with tempfile.TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        records, cover = every_record(given.source, out / "stages")
        questions, _ = read_questions(given.source)
        for seed in given.seeds:
            recipe = load_few_shot("minprompt", given.set, {"shots": [given.shots], "seeds": [seed]})
            test = split_by_group(questions, recipe.test_share)[1][: recipe.test_limit]
            for arm in given.arms:
                rows = [row for one in chosen(arm, seed, records, cover) for row in records[one]]
                sizes[arm].append(len(apart_from(test, rows)))
                folder = out / arm / str(seed)
                (scores,) = run_few_shot(
                    recipe, questions, rows, folder, lambda text, arm=arm: print(arm, text, flush=True)
                )
                model, tokenizer = load_model(str(folder / f"shots-{given.shots}-seed-{seed}"))
                loss = answer_loss(model, tokenizer, test, recipe.source_tokens)
                runs[arm].append({"f1": scores.f1, "em": scores.exact, "nll": loss})
                within = reachable(test, tokenizer, recipe.source_tokens)
    batch = recipe.training.batch_size
    taken = batch * math.ceil(math.ceil(given.shots / batch) * recipe.training.epochs)
    figures = {
        arm: {
            "sentences": float(len(chosen(arm, 0, records, cover))),
            "records": fmean(sizes[arm]),
            "passes": taken / fmean(sizes[arm]) if any(sizes[arm]) else 0.0,
        }
        | found
        for arm, found in summary(runs).items()
    }
    paired_figures = differences(runs)
    shown = [
        (
            arm,
            {name: row[name] for name in ("sentences", "records", "passes")}
            | {name: f"{row[name]:.3f} ± {row[f'{name}_sd']:.3f}" for name in MEASURES},
        )
        for arm, row in figures.items()
    ]
    table(f"{given.shots} shots", ("sentences", "records", "passes", *MEASURES), shown)
    between = [
        (name, {key: f"{value:.3f}" for key, value in row.items()}) for name, row in paired_figures.items()
    ]
    table("paired over the seeds, 95 %", ("difference", "low", "high"), between)
    settings = {"shots": given.shots, "seeds": given.seeds, "set": given.set}
    more = {"paired": paired_figures, "test": len(test), "reachable": within}
    finish("few_shot", figures | more | settings, {})


if __name__ == "__main__":
    main()
