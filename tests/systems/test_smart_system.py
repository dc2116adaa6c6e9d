"""SMART as a system: its recipe has the paper's settings, its command makes what the recipe trains on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from toolwise.cli.app import app
from toolwise.core.records import read_rows
from toolwise.data import read_demonstrations
from toolwise.systems import SFTRecipe, load_recipe, train_sft

DOUBLES = Path(__file__).resolve().parents[1] / "data"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_recipe_has_the_settings_of_the_paper():
    recipe = load_recipe("smart-sft")
    assert isinstance(recipe, SFTRecipe)
    learner = recipe.learner.settled(1000)
    assert (learner.learning_rate, learner.schedule, learner.warmup_steps) == (1e-4, "cosine", 100)
    training = recipe.training
    assert (training.epochs, training.batch_size, training.checkpoint_every) == (3, 2 * 4 * 4, 100)
    assert (recipe.validation.share, recipe.model.init.context) == (0.01, 4096)
    assert recipe.dialect.type == "smart"


def test_the_recipe_for_real_models_has_the_adapter_and_the_tools_of_the_paper():
    recipe, small = load_recipe("smart-lora"), load_recipe("smart-sft")
    assert (recipe.model.lora.rank, recipe.model.lora.alpha, recipe.model.lora.dropout) == (16, 32, 0.05)
    assert recipe.model.lora.targets is None
    assert [tool.type for tool in recipe.tools] == ["python", "search", "ask_user"]
    assert (recipe.learner, recipe.training) == (small.learner, small.training)


def test_the_almanac_writes_its_chains_itself_and_the_recipe_trains_on_them(tmp_path):
    done = run("data", "smart-er", "--domain", "almanac", "--out", tmp_path, "--limit", 2)
    assert done.exit_code == 0, done.output
    chains = [row.record for row in read_rows(tmp_path / "chains.jsonl")]
    pairs = [row.record for row in read_rows(tmp_path / "pairs.jsonl")]
    for chain in chains:
        calls = sum(step["type"] == "tool" for step in chain["chain"])
        assert calls == chain["needs_tool"]
        assert sum(pair["id"].startswith(f"{chain['id']}/") for pair in pairs) == calls + 1
    demonstrations = read_demonstrations(tmp_path / "demonstrations.jsonl")
    assert {one.tools for one in demonstrations} == {("calculator", "search", "ask_user")}
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"id": "1", "text": "The mayor."}) + "\n")
    small = {"hidden_size": 16, "layers": 1, "heads": 2, "vocabulary": 400, "context": 2048}
    recipe = load_recipe(
        "smart-sft",
        values={
            "model.init": small,
            "demonstrations.path": str(tmp_path / "demonstrations.jsonl"),
            "tools": [
                {"type": "calculator"},
                {"type": "ask_user"},
                {"type": "search", "corpus": str(corpus)},
            ],
            "validation.share": 0.2,
            "training": {"steps": 1, "batch_size": 2},
        },
    )
    metrics = train_sft(recipe, tmp_path / "run", say=lambda line: None)
    assert metrics["trained_tokens"] > 0
    assert metrics["validation_loss"] > 0


def test_a_published_source_needs_a_teacher_and_the_command_says_what_became_of_its_rows(
    tmp_path, monkeypatch
):
    source = tmp_path / "math.jsonl"
    rows = [{"question": "1234 * 5678, plus 4?", "answer": "7006652 + 4\n#### 7006656"}, {"question": "?"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["data", "smart-er", "--domain", "math", "--source", source, "--out", tmp_path / "out"]
    assert "needs --teacher" in run(*given).output
    assert "which is no chat model" in run(*given, "--teacher", "builtins:dict").output
    monkeypatch.setattr(sys, "path", [str(DOUBLES), *sys.path])
    refused = run(*given, "--teacher", "scripted_frontier:teacher")
    # By itself the double answers it rightly, so that nothing is left.
    assert "no row came through stage '2-selected'" in refused.output
    done = run(*given, "--teacher", "scripted_frontier:WrongAtFirst", "--parquet")
    assert done.exit_code == 0, done.output
    assert "source: 1 rows left out: it has no 'answer'" in done.output
    assert "2-selected: 1 in, 1 out" in done.output
    assert (tmp_path / "out" / "demonstrations.parquet").is_file()


@pytest.mark.parametrize("name", ["time", "intention"])
def test_domains_that_search_need_a_corpus(tmp_path, monkeypatch, name):
    source = tmp_path / "rows.jsonl"
    row = {
        "question": "Who?",
        "fact_type": "fast-changing",
        "task": "Plan a trip.",
        "vague": True,
        "missing_details": [{"description": "Destination"}],
    }
    source.write_text(json.dumps(row) + "\n")
    monkeypatch.setattr(sys, "path", [str(DOUBLES), *sys.path])
    done = run(
        "data", "smart-er", "--domain", name, "--source", source, "--out", tmp_path / "out",
        "--teacher", "scripted_frontier:teacher",
    )  # fmt: skip
    assert "calls 'search', which is not there" in done.output
    assert "corpus" in done.output
