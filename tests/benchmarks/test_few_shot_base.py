"""The base model of the few-shot benchmark: its records can be answered, and its folder can be loaded."""

from __future__ import annotations

import json
import random

import pytest
from benchmarks.few_shot_base import (
    KINDS,
    batch_records,
    common_words,
    level_at,
    main,
    make_record,
    read_pages,
)

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.prompts import MASK
from toolwise.rewards.text import normalize_answer
from toolwise.systems.models import load_model


@pytest.fixture
def texts(tmp_path):
    """Six pages of made-up sentences."""
    rng = random.Random(0)
    names = ["Orla Finch", "Tomas Brandt", "Ines Vidal", "Piet Kramer", "Ada Lindqvist"]
    places = ["Harwick", "Port Elm", "Sandholm", "Quarry Hill"]
    folder = tmp_path / "texts"
    folder.mkdir()
    for page in range(6):
        lines = [
            f"In {rng.randint(1700, 1999)}, {rng.choice(names)} built {rng.randint(2, 90)} small boats "
            f"near {rng.choice(places)}, and (later) sold them to a merchant from {rng.choice(places)}."
            for _ in range(12)
        ]
        (folder / f"page{page}.txt").write_text("A heading\n" + "\n".join(lines), encoding="utf-8")
    return folder


def test_pages_are_kept_apart_and_headings_left_out(texts):
    train, held = read_pages(texts)
    assert (len(train), len(held)) == (5, 1)
    assert not any("heading" in page for page in train + held)
    assert read_pages(texts) == (train, held)


def test_one_page_is_refused(texts):
    for page in range(1, 6):
        (texts / f"page{page}.txt").unlink()
    with pytest.raises(ToolwiseError, match="fewer than two"):
        read_pages(texts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [1.0, 2.5, 8.0, 20.0])
def test_the_context_holds_the_answer_and_the_question_does_not(texts, kind, level):
    pages, _ = read_pages(texts)
    words = common_words(pages)
    for seed in range(60):
        made = make_record(random.Random(seed), kind, pages, words, level, 0.3)
        (answer,) = made.answers
        assert answer in made.context
        asked = normalize_answer(made.question.replace(MASK, " ")).split()
        wanted = normalize_answer(answer).split()
        assert wanted
        assert asked
        assert not any(asked[n : n + len(wanted)] == wanted for n in range(len(asked)))
        assert made.question.count(MASK) == (0 if kind == "question" else 1)
        assert made.question.endswith("?") or kind != "question"
        if kind == "cloze":
            # Without noise the question is the text itself.
            whole = make_record(random.Random(seed), kind, pages, words, level, 0.0)
            assert whole.question.replace(MASK, whole.answers[0]) in whole.context


def test_the_same_seed_and_step_give_the_same_records_and_records_grow(texts):
    pages, _ = read_pages(texts)
    words = common_words(pages)

    def made(step, seed=0):
        return batch_records(step, 100, 16, seed, pages, words, 20.0)

    assert made(50) == made(50)
    assert made(50) != made(51)
    assert made(50) != made(50, seed=1)
    assert (level_at(1, 100, 20.0), level_at(100, 100, 20.0)) == (1.0, pytest.approx(20.0))
    assert max(len(one.context.split()) for one in made(1)) <= 5
    assert max(len(one.context.split()) for one in made(100)) > 20


def test_the_folder_is_a_model_and_the_same_seed_gives_it_again(texts, tmp_path, monkeypatch, capsys):
    size = ["--hidden-size", "16", "--layers", "1", "--heads", "2", "--vocabulary", "400", "--level", "3"]
    more = ["--steps", "4", "--batch-size", "2", "--source-tokens", "64", "--held", "2"]

    def run(out):
        monkeypatch.setattr("sys.argv", ["few_shot_base", str(texts), "--out", str(out), *size, *more])
        main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]

    first = run(tmp_path / "first")
    assert run(tmp_path / "second") == first
    assert set(first["held_out"]) == set(KINDS)
    model, tokenizer = load_model(str(tmp_path / "first" / "model"))
    assert first["parameters"] == sum(one.numel() for one in model.parameters())
    assert len(tokenizer.encode(MASK)) == 1
    again, _ = load_model(str(tmp_path / "second" / "model"))
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert one.equal(other)
