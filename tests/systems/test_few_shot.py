"""Few-shot splits and a whole small run, by the command, with its page."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from toolwise.cli.app import app
from toolwise.core import ToolwiseError
from toolwise.data.minprompt.sources import Question
from toolwise.systems.few_shot import Scores, few_shot_split, split_by_group, summary
from toolwise.systems.few_shot_recipe import load_few_shot

QUESTIONS = [Question(str(n), f"q{n}?", ("a",), f"context {n // 4}", f"g{n // 4}") for n in range(40)]


def test_splits_share_no_group_and_no_question():
    pool, test = split_by_group(QUESTIONS, 0.3)
    assert {one.group for one in pool}.isdisjoint({one.group for one in test})
    assert len({one.group for one in test}) == 3
    training, development = few_shot_split(pool, 8, 42)
    assert len(training) == len(development) == 8
    assert {one.id for one in training}.isdisjoint({one.id for one in development})
    assert few_shot_split(pool, 8, 42)[0] == training
    assert few_shot_split(pool, 8, 43)[0] != training
    with pytest.raises(ToolwiseError, match="draw 100 from"):
        few_shot_split(pool, 100, 42)
    with pytest.raises(ToolwiseError, match="one group"):
        split_by_group(QUESTIONS[:4], 0.3)


def test_mean_and_population_deviation():
    rows = summary([Scores(16, seed, f1, 0.5, 10, 0) for seed, f1 in ((42, 0.2), (43, 0.4))])
    assert rows == [
        pytest.approx({"shots": 16, "seeds": 2, "f1": 0.3, "f1_sd": 0.1, "em": 0.5, "em_sd": 0.0})
    ]


def test_published_settings_and_unknown_keys():
    recipe = load_few_shot()
    assert recipe.shots == (16, 32, 64, 128)
    assert recipe.seeds == (42, 43, 44, 45, 46)
    assert (recipe.training.batch_size, recipe.training.epochs, recipe.training.weight) == (2, 25, 1.0)
    assert (recipe.source_tokens, recipe.answer_tokens) == (800, 50)
    with pytest.raises(ToolwiseError, match="wieght"):
        load_few_shot("minprompt", ["training.wieght=2"])


def test_one_command_goes_from_paragraphs_to_a_trained_model_with_its_page(tmp_path):
    pytest.importorskip("spacy", reason="the extra minprompt is not installed")
    people = ("Ada Lovelace", "Marie Curie", "Charles Babbage", "George Boole")
    data = []
    for number, name in enumerate(people):
        context = f"{name} lived in London. {name} moved to Paris in 18{number}1. <i>{name}</i> wrote there."
        qas = [{"id": f"{number}-{k}", "question": f"Where did {name} move in 18{number}1?",
                "answers": [{"text": "Paris", "answer_start": 0}]} for k in range(2)]  # fmt: skip
        data.append({"title": name, "paragraphs": [{"context": context, "qas": qas}]})
    source, out = tmp_path / "train.json", tmp_path / "out"
    source.write_text(json.dumps({"data": data}))
    small = ["shots=[4]", "seeds=[42]", "training.epochs=1", "answer_tokens=4", "model.init.hidden_size=16",
             "model.init.layers=1", "model.init.heads=1", "model.init.vocabulary=400"]  # fmt: skip
    arguments = ["data", "minprompt", "all", str(source), "--out", str(out), "--train"]
    for setting in small:
        arguments += ["--train-set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (out / "training" / "shots-4-seed-42" / "checkpoints").is_dir()
    scores = json.loads((out / "training" / "scores.json").read_text())
    assert [(one["shots"], one["seed"]) for one in scores] == [(4, 42)]
    page = (out / "report.html").read_text()
    assert "London (GPE)" in page
    assert "<i>" not in page
    assert "Where did Ada Lovelace move" in page or "&lt;mask&gt;" in page
