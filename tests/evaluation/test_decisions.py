"""Confidence of decisions: which tokens hold a mark, and what is right and wrong."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

from toolwise.cli.app import app
from toolwise.evaluation.decisions import Confidence, Decision, confidence, decisions, marks

HALF = math.log(0.5)


def turn(tokens, logprobs=None, calls=()):
    return {
        "sampled": True,
        "tokens": tokens,
        "logprobs": logprobs or [HALF] * len(tokens),
        "calls": list(calls),
    }


def record(needs_tool, *turns):
    return {
        "task_id": "q",
        "info": {"needs_tool": needs_tool},
        "turns": [{"sampled": False, "calls": []}, *turns],
    }


PLAIN = ["- Step 1: A (", "general", " reasoning", ")\n", "b"]
CALL = ["- Step 2: C (tool: Se", "arch)", "\nwho"]


def test_the_probability_is_that_of_all_tokens_that_hold_the_mark():
    assert marks(PLAIN, [HALF] * 5, r"\((general reasoning)\)") == [("general reasoning", 0.25)]
    assert marks(CALL, [HALF, HALF, 0.0], r"tool: (\w+)") == [("Search", 0.25)]
    assert marks(CALL, [HALF, 0.0, HALF], r"tool: (\w+)") == [("Search", 0.5)]
    assert marks([], [], "(a)") == []


@pytest.mark.parametrize(
    ("needs_tool", "turns", "right"),
    [
        (False, [turn(PLAIN)], [True]),
        (True, [turn(PLAIN)], [False]),  # no tool, though one is needed
        (True, [turn(PLAIN + CALL, calls=[{}])], [True, True]),
        (False, [turn(PLAIN + CALL, calls=[{}])], [True, False]),  # a needless call
        (None, [turn(PLAIN)], []),
    ],
)
def test_which_decisions_are_right(needs_tool, turns, right):
    assert [one.right for one in decisions(record(needs_tool, *turns))] == right


def test_indicators_stand_before_what_is_in_parentheses():
    tokens = ["- Step 1: [[", "Search", "]] A", " (tool: Search)\nx"]
    assert decisions(record(True, turn(tokens, calls=[{}]))) == [Decision("q", "Search", 0.5, True)]


def test_a_pattern_of_ones_own():
    found = decisions(record(False, turn(["This is", " known", "."])), r"This is (\w+)", frozenset({"known"}))
    assert found == [Decision("q", "known", 0.5, True)]
    both = confidence([*found, Decision("q", "x", 0.25, False)])
    assert both == Confidence((0.5,), (0.25,))
    assert (both.mean_right, both.mean_wrong) == (0.5, 0.25)
    assert Confidence((), ()).mean_right is None


def test_the_command_shows_both_and_refuses_what_it_cannot_read(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    rows = [record(True, turn(PLAIN + CALL, calls=[{}])), record(True, turn(PLAIN))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(app, ["show", "decisions", str(path)])
    assert done.exit_code == 0, done.output
    assert "0.250 (2)" in done.output
    assert "0.250 (1)" in done.output
    for arguments, part in (
        (["--pattern", "("], "no regular expression"),
        (["--pattern", "a"], "has 0 groups"),
        (["--pattern", "(zzz)"], "holds no decision"),
    ):
        assert part in CliRunner().invoke(app, ["show", "decisions", str(path), *arguments]).output
    path.write_text("[]\n")
    assert "is no rollout" in CliRunner().invoke(app, ["show", "decisions", str(path)]).output
