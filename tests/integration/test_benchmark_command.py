"""``toolwise benchmark``: predictions from a file, a local model, and one behind an endpoint."""

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


def test_a_model_behind_an_endpoint_is_scored(tmp_path, bfcl, command, frontier):
    server = frontier(calls={"How big?": [["geo.area", '{"size": 2}']]})
    done = command(
        *("benchmark", "bfcl", "--data", bfcl, "--out", tmp_path / "out"),
        *("--endpoint", server.url, "--endpoint-model", "lab/double-1"),
    )
    assert done.exit_code == 0, done.output
    assert "endpoint: 4 requests" in done.stdout
    (record,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert record["policy"] == "double-1"
    assert {name: measure["value"] for name, measure in record["measures"].items()} == {
        "accuracy": 3 / 4,
        "… simple_python": 1.0,
        "… irrelevance": 0.0,
    }
    asked = server.requests[0]["body"]
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["geo.area"]
    assert asked["temperature"] == 0


def test_a_run_that_was_stopped_goes_on(tmp_path, bfcl, command, frontier):
    out = tmp_path / "out"
    calls = {"How big?": [["geo.area", '{"size": 2}']]}
    # The third request is refused for good; one at a time, so two outputs are there by then.
    server = frontier(calls=calls, plan=[{}, {}, {"status": 401}])
    arguments = (
        *("benchmark", "bfcl", "--data", bfcl, "--out", out, "--policy", "double"),
        *("--endpoint", server.url, "--endpoint-model", "double"),
        *("--set", "model.endpoint.concurrency=1"),
    )
    stopped = command(*arguments)
    assert stopped.exit_code == 2, stopped.output
    unfinished = out / "predictions" / "bfcl-double.unfinished.jsonl"
    with unfinished.open("a") as file:
        file.write('{"id": "simple_python_2", "outp')  # torn
    done = command(*arguments)
    assert done.exit_code == 0, done.output
    assert "2 of 4 outputs stand in" in done.output
    assert len(server.requests) == 3 + 2
    assert not unfinished.exists()
    (record,) = json.loads((out / "results.json").read_text())
    assert record["measures"]["accuracy"]["value"] == 3 / 4
    lines = (out / "predictions" / "bfcl-double.jsonl").read_text().splitlines()
    ids = [*(f"simple_python_{number}" for number in range(3)), "irrelevance_0"]
    assert [json.loads(line)["id"] for line in lines] == ids
    # What another model or other settings have written is not taken.
    unfinished.write_text('{"run": "another"}\n{"id": "irrelevance_0", "output": "No."}\n')
    assert command(*arguments).exit_code == 0
    assert len(server.requests) == 3 + 2 + 4


@pytest.fixture
def conversation(tmp_path):
    """An invented item with two user turns, in BFCL's files."""
    folder = tmp_path / "conversation"
    for name in ("possible_answer", "multi_turn_func_doc"):
        (folder / name).mkdir(parents=True)
    name = "BFCL_v4_multi_turn_miss_func.json"
    contents = {"a.txt": {"type": "file", "content": "one"}}
    item = {
        "id": "multi_turn_miss_func_0",
        "question": [[{"role": "user", "content": "Make b.txt."}], []],
        "initial_config": {
            "GorillaFileSystem": {"root": {"workspace": {"type": "directory", "contents": contents}}}
        },
        "involved_classes": ["GorillaFileSystem"],
        "missed_function": {"1": ["cat"]},
    }
    write_lines(folder / name, [item])
    truth = {"id": item["id"], "ground_truth": [["touch(file_name='b.txt')"], ["cat('a.txt')"]]}
    write_lines(folder / "possible_answer" / name, [truth])
    parameters = {"type": "dict", "properties": {"file_name": {"type": "string", "description": "Name."}}}
    write_lines(
        folder / "multi_turn_func_doc" / "gorilla_file_system.json",
        [{"name": each, "description": each, "parameters": parameters} for each in ("touch", "cat")],
    )
    return folder


def test_a_conversation_is_played_and_its_tools_are_run(
    tmp_path, conversation, command, frontier, model_folder
):
    prompts = pytest.importorskip("bfcl_eval.constants.default_prompts", reason="bfcl-eval is not installed")
    later = prompts.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC
    server = frontier(
        calls={
            "Make b.txt.": [["touch", '{"file_name": "b.txt"}']],
            later: [["cat", '{"file_name": "a.txt"}']],
        },
        thought="First the file.",
    )
    out = tmp_path / "out"
    played = ("benchmark", "bfcl", "--data", conversation, "--category", "multi_turn_miss_func", "--out", out)
    done = command(*played, "--endpoint", server.url, "--endpoint-model", "double")
    assert done.exit_code == 0, done.output
    (record,) = json.loads((out / "results.json").read_text())
    assert record["measures"]["accuracy"]["value"] == 1.0
    asked = [request["body"] for request in server.requests]
    assert [len(body["messages"]) for body in asked] == [1, 3, 5, 7]
    assert not any("reasoning_content" in message for body in asked for message in body["messages"])
    assert [[tool["function"]["name"] for tool in body["tools"]] for body in asked] == (
        [["touch"]] * 2 + [["touch", "cat"]] * 2
    )
    predictions = out / "predictions" / "bfcl-double.jsonl"
    again = command(*played, "--predictions", predictions, "--policy", "again")
    assert again.exit_code == 0, again.output
    first, second = json.loads((out / "results.json").read_text())
    assert first["measures"] == second["measures"]
    tiny = command(*played, "--model", model_folder, "--set", "rollout.limits.max_turn_tokens=8")
    assert tiny.exit_code == 0, tiny.output
    line = json.loads((out / "items" / f"bfcl-{model_folder.name}.jsonl").read_text())
    assert (line["correct"], line["fault"]) == (False, "empty_turn")


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
