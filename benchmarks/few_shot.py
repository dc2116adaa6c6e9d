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
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from benchmarks.report import finish, table
from toolwise.core import seed_for
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
from toolwise.data.minprompt.prompts import prompt_source
from toolwise.data.minprompt.stage import write_stage

ARMS = ("none", "random", "cover", "all")
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


def main() -> None:
    """Train every arm with every seed, print the table, then the line of JSON."""
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
    with tempfile.TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        records, cover = every_record(given.source, out / "stages")
        questions, _ = read_questions(given.source)
        general = load_few_shot("minprompt", given.set)
        test = split_by_group(questions, general.test_share)[1][: general.test_limit]
        taken = math.ceil(given.shots / general.training.batch_size) * general.training.batch_size
        taken = round(taken * general.training.epochs)
        within = {}
        if general.model.source is not None:
            tokenizer = load_model(general.model.source)[1]
            within = {"reachable": reachable(test, tokenizer, general.source_tokens)}
        found: dict[str, list[Any]] = {arm: [] for arm in given.arms}
        counts: dict[str, list[int]] = {arm: [] for arm in given.arms}
        for seed in given.seeds:
            for arm in given.arms:
                own = {"shots": [given.shots], "seeds": [seed]}
                recipe = load_few_shot("minprompt", given.set, own)
                rows = [row for one in chosen(arm, seed, records, cover) for row in records[one]]
                counts[arm].append(len(apart_from(test, rows)))
                found[arm] += run_few_shot(
                    recipe,
                    questions,
                    rows,
                    out / arm / str(seed),
                    lambda text, arm=arm: print(arm, text, flush=True),
                )
    figures = {
        arm: {
            "sentences": float(len(chosen(arm, 0, records, cover))),
            "records": fmean(counts[arm]),
            "passes": taken / fmean(counts[arm]) if any(counts[arm]) else 0.0,
            "f1": fmean(one.f1 for one in scores),
            "f1_sd": pstdev(one.f1 for one in scores),
            "em": fmean(one.exact for one in scores),
            "em_sd": pstdev(one.exact for one in scores),
        }
        for arm, scores in found.items()
    }
    columns = ("sentences", "records", "passes", "f1", "f1_sd", "em", "em_sd")
    table(f"{given.shots} shots, {len(given.seeds)} seeds", columns, list(figures.items()))
    differences = {}
    if len(given.seeds) > 1:
        pairs = [(one, other) for one, other in PAIRS if one in found and other in found]
        for name, of in {"f1": lambda one: one.f1, "em": lambda one: one.exact}.items():
            for one, other in pairs:
                both = [[of(score) for score in found[arm]] for arm in (one, other)]
                differences[f"{name}: {one} - {other}"] = paired(*both)
        table("paired over the seeds, 95 %", ("difference", "low", "high"), list(differences.items()))
    more = {"paired": differences, "test": len(test), **within}
    finish("few_shot", figures | more | {"shots": given.shots, "seeds": given.seeds, "set": given.set}, {})


if __name__ == "__main__":
    main()
