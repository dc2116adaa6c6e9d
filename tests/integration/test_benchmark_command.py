"""``toolwise benchmark``: from a file of predictions, and with a local model."""

from __future__ import annotations

import json

import pytest
from model_folders import write_lines

FUNCTION = {
    "name": "geo.area",
    "description": "An area.",
    "parameters": {
        "type": "dict",
        "properties": {"size": {"type": "integer", "description": "In metres."}},
        "required": ["size"],
    },
}


@pytest.fixture
def bfcl(tmp_path):
    """Four invented items in BFCL's files."""
    folder = tmp_path / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)

    def item(identity: str):
        return {
            "id": identity,
            "question": [[{"role": "user", "content": "How big?"}]],
            "function": [FUNCTION],
        }

    simple = [f"simple_python_{number}" for number in range(3)]
    write_lines(folder / "BFCL_v4_simple_python.json", [item(identity) for identity in simple])
    write_lines(
        folder / "possible_answer" / "BFCL_v4_simple_python.json",
        [{"id": identity, "ground_truth": [{"geo.area": {"size": [2]}}]} for identity in simple],
    )
    write_lines(folder / "BFCL_v4_irrelevance.json", [item("irrelevance_0")])
    return folder


OUTPUTS = {
    "simple_python_0": "[geo.area(size=2)]",
    "simple_python_1": [{"name": "geo.area", "arguments": {"size": 3}}],
    "simple_python_2": {"content": "", "tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]},
    "irrelevance_0": "No function fits.",
}


def test_predictions_are_scored(tmp_path, bfcl, command):
    rows = [{"id": identity, "output": output} for identity, output in OUTPUTS.items()]
    file = write_lines(tmp_path / "mine.jsonl", rows)
    out = tmp_path / "out"
    done = command("benchmark", "bfcl", "--data", bfcl, "--predictions", file, "--out", out)
    assert done.exit_code == 0, done.output
    assert "mine" in done.stdout
    (record,) = json.loads((out / "results.json").read_text())
    assert (record["benchmark"], record["policy"]) == ("bfcl", "mine")
    assert {name: measure["value"] for name, measure in record["measures"].items()} == {
        "accuracy": 2 / 4,
        "… simple_python": 1 / 3,
        "… irrelevance": 1.0,
    }
    items = [json.loads(line) for line in (out / "items" / "bfcl-mine.jsonl").read_text().splitlines()]
    assert [item.get("fault", "") for item in items] == ["", "wrong_value", "wrong_name", ""]
    again = command(
        *("benchmark", "bfcl", "--data", bfcl, "--predictions", file, "--out", out),
        *("--category", "simple_python", "--limit", 1, "--partial"),
    )
    assert again.exit_code == 2
    assert "belong to no item" in again.stderr


def test_a_model_writes_predictions_that_can_be_scored_again(tmp_path, bfcl, command, model_folder):
    out = tmp_path / "out"
    done = command(
        *("benchmark", "bfcl", "--data", bfcl, "--model", model_folder, "--out", out, "--policy", "tiny"),
        *("--set", "rollout.limits.max_turn_tokens=8"),
    )
    assert done.exit_code == 0, done.output
    (first,) = json.loads((out / "results.json").read_text())
    predictions = out / "predictions" / "bfcl-tiny.jsonl"
    assert len(predictions.read_text().splitlines()) == 4
    again = tmp_path / "again"
    command(
        "benchmark", "bfcl", "--data", bfcl, "--predictions", predictions, "--out", again, "--policy", "tiny"
    )
    assert json.loads((again / "results.json").read_text()) == [first]


def test_a_model_answers_questions_with_the_tools_of_its_recipe(tmp_path, command, model_folder):
    write_lines(tmp_path / "NQ-open.dev.jsonl", [{"question": "who", "answer": ["I"]}])
    done = command(
        *("benchmark", "nq-open", "--data", tmp_path, "--model", model_folder, "--out", tmp_path / "out"),
        *("--set", "rollout.limits.max_turn_tokens=8"),
    )
    assert done.exit_code == 0, done.output
    (record,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert record["measures"].keys() == {"EM", "F1", "TC", "TP"}
    assert record["measures"]["TC"]["value"] == 0.0


def test_mistakes_are_told(tmp_path, bfcl, command):
    def refused(*arguments):
        done = command("benchmark", *arguments, "--out", tmp_path / "out")
        assert done.exit_code == 2, done.output
        return done.stderr

    file = write_lines(tmp_path / "p.jsonl", [{"id": "simple_python_0", "output": "x"}])
    assert "known are bfcl" in refused("bfc", "--data", bfcl, "--predictions", file)
    assert "either a model or predictions" in refused("bfcl", "--data", bfcl)
    assert "have no output" in refused("bfcl", "--data", bfcl, "--predictions", file)
    assert "is not known" in refused("bfcl", "--data", bfcl, "--predictions", file, "--category", "simple")
    assert "bfcl only" in refused("gsm8k", "--data", bfcl, "--predictions", file, "--underscore-names")
    wrong = write_lines(
        tmp_path / "w.jsonl", [{"id": "simple_python_0", "result": "x"}, {"id": "a", "output": 3}]
    )
    told = refused("bfcl", "--data", bfcl, "--predictions", wrong)
    assert "row 1: field 'result' is not known" in told
    assert "row 2: field 'output' is int" in told
