"""DPO, DAST, NILE, TinyLLM as systems: published settings, real tiny models, loopback endpoints."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from toolwise.cli.app import app
from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data import Preference, read_demonstrations, read_preferences, read_tasks, write_preferences
from toolwise.data.dast import DastPlan
from toolwise.learning import list_checkpoints
from toolwise.systems import DPORecipe, RLRecipe, SFTRecipe, load_recipe, train_dpo, train_sft
from toolwise.systems.chat_targets import chat_model
from toolwise.systems.dast import dast_rounds, with_exemplars
from toolwise.systems.fresh import fresh_model
from toolwise.systems.nile import LocalBase, score_of
from toolwise.systems.recipe import FreshModel

SMALL = {"hidden_size": 16, "layers": 1, "heads": 2, "vocabulary": 400, "context": 512}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model, tokenizer = fresh_model(FreshModel(**SMALL), ["Query: Why? Knowledge: So. Answer: because"] * 4, 0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_recipes_have_the_settings_that_are_known():
    sft, dpo = load_recipe("dast-sft"), load_recipe("dast-dpo")
    assert isinstance(sft, SFTRecipe)
    assert isinstance(dpo, DPORecipe)
    for recipe, rate, epochs in ((sft, 2e-5, 1), (dpo, 2e-4, 3)):
        learner = recipe.learner.settled(100)
        assert (learner.learning_rate, learner.schedule, learner.warmup_steps) == (rate, "cosine", 5)
        assert (learner.weight_decay, learner.grad_clip) == (0.01, 0.3)
        assert (recipe.training.epochs, recipe.training.batch_size) == (epochs, 4 * 8)
    assert dpo.loss.beta == 0.1
    assert (dpo.model.lora.rank, dpo.model.lora.alpha, dpo.model.lora.dropout) == (32, 16, 0.05)
    tiny = load_recipe("tinyllm")
    assert isinstance(tiny, SFTRecipe)
    assert tiny.loss.parts == {"answer": 1.0, "*": 1.0}
    assert (tiny.learner.learning_rate, tiny.training.epochs, tiny.model.init.context) == (5e-5, 1, 1024)
    assert tiny.training.batch_size == 16 * 3


# DPO


@pytest.fixture
def pairs(tmp_path):
    rows = [
        Preference(
            f"p{number}",
            ({"role": "user", "content": f"Say {number}"},),
            ({"role": "assistant", "content": f"number {number}"},),
            ({"role": "assistant", "content": "no"},),
        )
        for number in range(6)
    ]
    write_preferences(tmp_path / "pairs.jsonl", rows)
    return tmp_path / "pairs.jsonl"


def dpo_recipe(pairs, steps, **values):
    given = {
        "model.init": SMALL,
        "preferences.path": str(pairs),
        "validation.share": 0.34,
        "learner": {"learning_rate": 1e-2, "schedule": "constant"},
        "training": {"steps": steps, "batch_size": 2, "checkpoint_every": 2},
        **values,
    }
    recipe = load_recipe("dpo", values=given)
    assert isinstance(recipe, DPORecipe)
    return recipe


def metrics_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights_of(folder):
    return load_file(list_checkpoints(folder / "checkpoints")[-1] / "model.safetensors")


def test_a_run_that_goes_on_keeps_the_reference_of_its_start(tmp_path, pairs):
    train_dpo(dpo_recipe(pairs, 4), tmp_path / "straight", say=lambda line: None)
    for steps in (2, 4):
        train_dpo(dpo_recipe(pairs, steps), tmp_path / "twice", say=lambda line: None)
    straight, twice = metrics_of(tmp_path / "straight"), metrics_of(tmp_path / "twice")
    # Policy and reference are one at first: log 2, no margin.
    assert straight[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert straight[0]["reward_margin"] == pytest.approx(0.0, abs=1e-5)
    assert straight[-1]["reward_margin"] > 0.01
    for name in ("loss", "reward_margin", "preference_accuracy"):
        assert [row[name] for row in twice] == [row[name] for row in straight]
    assert straight[1]["validation_loss"] == twice[1]["validation_loss"]
    for name, weight in weights_of(tmp_path / "straight").items():
        assert torch.equal(weight, weights_of(tmp_path / "twice")[name]), name


def test_the_command_trains_and_what_is_no_pair_is_refused(tmp_path, pairs, model_folder):
    options = (
        "--set",
        "training.epochs=null",
        "--set",
        "training.steps=1",
        "--set",
        "training.batch_size=2",
        "--out",
        tmp_path / "run",
    )
    done = run("train", "dpo", "--model", model_folder, "--tasks", pairs, *options)
    assert done.exit_code == 0, done.output
    assert "6 pairs" in done.output
    wrong = write(tmp_path / "wrong.jsonl", [{"id": "a", "prompt": "?", "chosen": "x", "rejected": "x"}])
    done = run("train", "dpo", "--model", model_folder, "--tasks", wrong, "--out", tmp_path / "other")
    assert done.exit_code == 2
    assert "are equal" in done.output
    done = run("train", "dpo", "grpo", "--model", model_folder, "--tasks", pairs)
    assert "toolwise train rl grpo" in done.output


# Curation and the boundary


def test_curate_and_boundary_as_commands(tmp_path):
    data = write(tmp_path / "data.jsonl", [{"id": n, "text": f"row number {n} of many"} for n in range(40)])
    out = tmp_path / "out"
    done = run(
        "data", "curate", data, "--out", out, "--near", 0, "--shares", "0.5,0.25,0.25", "--license", "CC0-1.0"
    )
    assert done.exit_code == 0, done.output
    kept = [row.record["id"] for name in ("train", "dev", "test") for row in read_rows(out / f"{name}.jsonl")]
    assert sorted(kept) == list(range(40))
    assert "license: CC0-1.0" in (out / "README.md").read_text()
    done = run("data", "curate", data, "--out", out, "--shares", "0.5,0.4,0.4")
    assert (done.exit_code, "add up to 1" in done.output) == (2, True)
    info = [{"knowledge": label} for label in ("known", "unknown", "uncertain")]
    rows = [{"id": f"t{n}", "prompt": "?", "info": one} for n, one in enumerate(info)]
    probed = write(tmp_path / "probed.jsonl", rows)
    done = run("data", "boundary", probed, "--out", tmp_path / "beyond.jsonl")
    assert done.exit_code == 0, done.output
    assert [task.id for task in read_tasks(tmp_path / "beyond.jsonl")] == ["t1", "t2"]
    assert [row.record["reason"] for row in read_rows(tmp_path / "beyond.dropped.jsonl")] == ["known"]
    assert "is what is read" in run("data", "boundary", probed, "--out", probed).output


# TinyLLM


def test_tinyllm_from_an_endpoint_and_a_file_to_a_trained_student(tmp_path, frontier):
    server = frontier(answers={"*": "It follows from what was said."})
    questions = write(
        tmp_path / "q.jsonl",
        [
            {"id": f"q{n}", "question": f"Which is {n}?", "options": [f"{n}", "x"], "answer": "A"}
            for n in range(4)
        ],
    )
    written = write(tmp_path / "r.jsonl", [{"id": f"q{n}", "rationale": "So."} for n in range(3)])
    command = ("data", "tinyllm", questions, "--teacher", f"small={written}")
    command += ("--teacher", f"large={server.url}#teacher", "--out", tmp_path / "out")
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "part small: 3" in done.output
    assert "part large: 4" in done.output
    assert len(server.requests) == 4
    assert all("Answer: (a)\nRationale:" in one["body"]["messages"][-1]["content"] for one in server.requests)
    assert run(*command).exit_code == 0
    assert len(server.requests) == 4
    recipe = load_recipe(
        "tinyllm",
        values={
            "model.init": SMALL,
            "demonstrations.path": str(tmp_path / "out" / "demonstrations.jsonl"),
            "training": {"steps": 1, "batch_size": 11},
        },
    )
    assert isinstance(recipe, SFTRecipe)
    metrics = train_sft(recipe, tmp_path / "run", say=lambda line: None)
    # Three parts of weight 1, each about the entropy of a guess: their sum, not their mean.
    assert metrics["loss"] > 2.5 * torch.tensor(float(400)).log().item() * 0.9


# NILE


def test_the_gain_in_likelihood_is_that_of_plain_transformers(model_folder):
    base = LocalBase(str(model_folder))

    def plain(prompt, answer):
        ids = base.tokenizer(prompt)["input_ids"]
        target = base.tokenizer(f" {answer}", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = base.model(torch.tensor([[*ids, *target]])).logits[0].log_softmax(-1)
        places = range(len(ids) - 1, len(ids) + len(target) - 1)
        return sum(float(logits[place, token]) for place, token in zip(places, target, strict=True)) / len(
            target
        )

    expected = plain("Query: Why?\nKnowledge: So it is.\nAnswer:", "because") - plain(
        "Query: Why?\nAnswer:", "because"
    )
    assert base.gain("Why?", "So it is.", "because") == pytest.approx(expected, abs=1e-4)


def test_nile_with_a_real_base_model_and_an_endpoint(tmp_path, model_folder, frontier):
    server = frontier(answers={"*": "A better answer."})
    rows = [{"instruction": f"Say {n}", "output": f"{n}"} for n in range(10)]
    data = write(tmp_path / "rows.jsonl", rows)
    command = ("data", "nile", data, "--model", model_folder, "--reviser", f"{server.url}#strong")
    command += ("--score", "likelihood", "--demonstrations", 3, "--out", tmp_path / "out")
    done = run(*command)
    assert done.exit_code == 0, done.output
    known = [row.record for row in read_rows(tmp_path / "out" / "3-knowledge.jsonl")]
    made = read_demonstrations(tmp_path / "out" / "demonstrations.jsonl")
    assert len(made) == len(known) - len(known) // 10
    assert {one.messages[-1]["content"] for one in made} == {"A better answer."}
    # Three demonstrations and a revision of each; equal requests are asked once.
    assert len(server.requests) == 3 + len(known)
    assert (
        "needs the probabilities"
        in run(
            "data",
            "nile",
            data,
            "--base",
            f"{server.url}#m",
            "--reviser",
            f"{server.url}#m",
            "--score",
            "likelihood",
        ).output
    )


def test_scores_that_lack_something_say_what():
    with pytest.raises(ToolwiseError, match="needs a sentence encoder"):
        score_of("embedding", None, None)
    row = {"internal": "a b", "revised": "b a"}
    assert asyncio.run(score_of("words", None, None)(row)) == pytest.approx(1.0)


# DAST


def test_dast_by_an_endpoint(tmp_path, frontier):
    server = frontier(answers={"1 + 1?": ["2", "3"], "2 + 2?": "4", "3 + 3?": "7"})
    rows = [{"id": f"t{n}", "prompt": f"{n} + {n}?", "answer": str(2 * n)} for n in (1, 2, 3)]
    tasks = write(tmp_path / "tasks.jsonl", rows)
    command = ("data", "dast", "--endpoint", server.url, "--endpoint-model", "m", "--tasks", tasks)
    command += ("--judge", "numeric", "--samples", 8, "--budgets", "4,4,8,8", "--out", tmp_path / "out")
    done = run(*command)
    assert done.exit_code == 0, done.output
    graded = {row.record["id"]: row.record for row in read_rows(tmp_path / "out" / "1-difficulty.jsonl")}
    assert (graded["t2"]["level"], graded["t3"]["level"]) == ("easy", "unsolved")
    assert 0 < graded["t1"]["share"] < 1
    # Every right answer reads the same, so each query has one.
    made = {one.id: one.messages for one in read_demonstrations(tmp_path / "out" / "demonstrations.jsonl")}
    assert set(made) == {"t1/0", "t2/0"}
    assert [message["content"] for message in made["t1/0"]] == ["1 + 1?", "2"]
    (pair,) = read_preferences(tmp_path / "out" / "preferences.jsonl")
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("2", "3")
    asked = len(server.requests)
    assert run(*command).exit_code == 0
    assert len(server.requests) == asked


def test_exemplars_stand_between_system_message_and_question():
    from toolwise.core import Task
    from toolwise.data.dast import Shot

    task = Task("t", ({"role": "system", "content": "S"}, {"role": "user", "content": "Q"}))
    asked = with_exemplars(task, [Shot("a", "q", "r")])
    assert [(m["role"], m["content"]) for m in asked.prompt] == [
        ("system", "S"),
        ("user", "q"),
        ("assistant", "r"),
        ("user", "Q"),
    ]


@pytest.mark.parametrize("by", ["sft", "dpo"])
def test_each_round_trains_the_first_model_anew(tmp_path, model_folder, monkeypatch, by):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("family_doubles", None)
    rows = [{"id": f"t{n}", "prompt": f"Say {n}", "answer": "x"} for n in range(4)]
    sampling = load_recipe(
        "grpo",
        values={
            "model.source": str(model_folder),
            "tasks.path": str(write(tmp_path / "tasks.jsonl", rows)),
            "reward": {"type": "custom", "target": "family_doubles:even"},
            "rollout.limits.max_turn_tokens": 6,
            "tools": [],
        },
    )
    assert isinstance(sampling, RLRecipe)
    plan = DastPlan(samples=4, shots=1, chunk=4, budgets=dict.fromkeys(DastPlan().budgets, 8))
    small = ["training.epochs=null", "training.steps=2", "training.batch_size=2"]
    small += ["model.lora=null", "learner.learning_rate=1e-3"]

    def rounds():
        lines = []
        found = dast_rounds(
            sampling, plan, tmp_path / "out", by=by, rounds=2, overrides=small, say=lines.append
        )
        return found, lines

    first, _ = rounds()
    assert [one.number for one in first] == [1, 2]
    assert all(one.metrics["learning_rate"] >= 0 for one in first)
    for one in first:
        config = yaml.safe_load((one.run / "config.yaml").read_text())
        assert config["model"]["source"] == str(model_folder)
    second_data = [
        json.dumps(row.record) for row in read_rows(tmp_path / "out/round-2/data/1-difficulty.jsonl")
    ]
    first_data = [
        json.dumps(row.record) for row in read_rows(tmp_path / "out/round-1/data/1-difficulty.jsonl")
    ]
    assert first_data != second_data
    again, lines = rounds()
    assert [one.metrics for one in again] == [{}, {}]
    assert [one.data for one in again] == [one.data for one in first]
    assert any("round 2 of 2" in line for line in lines)


def test_chat_models_by_one_word(tmp_path):
    path = tmp_path / "teacher.yaml"
    path.write_text("base_url: http://127.0.0.1:9/v1\nmodel: m\nretries: 1\n")
    found = chat_model(str(path), tmp_path / "cache" / "replies.sqlite")
    assert (found.config.model, found.config.retries) == ("m", 1)
    assert found.config.cache == tmp_path / "cache" / "replies.sqlite"
    for target, problem in (
        ("http://127.0.0.1:9/v1", "model"),
        (str(tmp_path / "no.yaml"), "cannot be read"),
        ("json:dumps", "no chat model|cannot be called|dumps"),
    ):
        with pytest.raises(ToolwiseError, match=problem):
            chat_model(target)
