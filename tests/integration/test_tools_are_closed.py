"""Whatever a command ends with, its tools let go of what all rollouts share."""

from __future__ import annotations

import sys

import pytest
import yaml

from toolwise.tools import Tool

EVENTS: list[str] = []


def calculate(expression: str) -> str:
    return expression


TOOL = Tool("calculator", "Evaluate.", {"type": "object"}, calculate, close=lambda: EVENTS.append("closed"))
SMALL = ("--set", "rollout.limits.max_turn_tokens=8")


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
                "rollout": {"tasks_per_step": 2, "group_size": 2},
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
            raise KeyboardInterrupt

        monkeypatch.setattr("toolwise.rollout.collect.roll_out", broken)
    done = command("train", "rl", recipe, "--out", tmp_path / "run", *SMALL)
    assert done.exit_code == (0 if ends == "well" else 130), done.output
    assert EVENTS == ["closed"]


@pytest.mark.parametrize("arguments", [("evaluate",), ("rollout",), ("mask",)])
def test_other_commands_close_their_tools(recipe, command, tmp_path, arguments):
    out = ("--out", tmp_path / "results") if arguments == ("evaluate",) else ()
    done = command(*arguments, recipe, *out, *SMALL)
    assert done.exit_code == 0, done.output
    assert EVENTS == ["closed"]
