"""Whatever a command ends with, its tools let go of what all rollouts share."""

from __future__ import annotations

import sys

import pytest
import yaml
from model_folders import write_lines

from toolwise.core import ToolwiseError
from toolwise.systems import evaluate_model, load_recipe
from toolwise.systems.benchmarking import benchmark_items, run_benchmark
from toolwise.systems.trying import masks_of_rollouts, try_model
from toolwise.tools import Tool

EVENTS: list[str] = []


def calculate(expression: str) -> str:
    return expression


TOOL = Tool("calculator", "Evaluate.", {"type": "object"}, calculate, close=lambda: EVENTS.append("closed"))


@pytest.fixture
def recipe(tmp_path, monkeypatch, model_folder, tasks_file):
    monkeypatch.setitem(sys.modules, "toolwise_test_closing", sys.modules[__name__])
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "stage": "rl",
                "model": {"source": str(model_folder)},
                "tasks": {"path": str(tasks_file), "limit": 2},
                "tools": [{"type": "function", "target": "toolwise_test_closing:TOOL"}],
                "rollout": {"tasks_per_step": 2, "group_size": 2, "limits": {"max_turn_tokens": 8}},
                "training": {"steps": 1},
            }
        )
    )
    EVENTS.clear()
    return path


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_training_closes_its_tools(recipe, command, tmp_path, monkeypatch, ends):
    if ends == "badly":

        def broken(*ignored, **also_ignored):
            raise ToolwiseError("the sampler has gone")

        monkeypatch.setattr("toolwise.rollout.collect.roll_out", broken)
    done = command("train", "rl", recipe, "--out", tmp_path / "run")
    assert done.exit_code == (0 if ends == "well" else 2), done.output
    assert EVENTS == ["closed"]


def test_evaluating_and_trying_close_their_tools(recipe, tmp_path):
    loaded = load_recipe(str(recipe))
    evaluate_model(loaded, tmp_path / "results", "policy", say=str)
    assert EVENTS == ["closed"]
    assert len(list(try_model(loaded, samples=1, greedy=True, say=str))) == 2
    assert EVENTS == ["closed"] * 2
    assert list(masks_of_rollouts(loaded, samples=2, say=str))
    assert EVENTS == ["closed"] * 3


def test_a_benchmark_closes_its_tools(recipe, tmp_path):
    write_lines(tmp_path / "NQ-open.dev.jsonl", [{"question": "who", "answer": ["I"]}])
    benchmark, items = benchmark_items("nq-open", tmp_path)
    run_benchmark(benchmark, items, load_recipe(str(recipe)), tmp_path / "results", "policy", say=str)
    assert EVENTS == ["closed"]
