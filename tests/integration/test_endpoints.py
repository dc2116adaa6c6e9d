"""Models behind endpoints, and the probe, from the command line: a server process on loopback, real files."""

from __future__ import annotations

import json

import pytest
from model_folders import write_lines

from toolwise.data import read_tasks
from toolwise.evaluation import Thresholds
from toolwise.evaluation.probe import SAMPLES, TEMPERATURE
from toolwise.systems.probing import MARKER, ProbeSettings

KEY = "sk-secret-0123456789abcdef"
QUESTIONS = {
    "capital?": ("Paris", "Paris"),  # always right
    "mayor?": ("Ann", "I do not know."),  # never
    "river?": ("Seine", ["Seine", "Rhine"]),  # now and then
    "6 * 7?": ("42", "41"),  # never, but there is a calculator
}


@pytest.fixture
def server(frontier):
    """A test double of a frontier model that calls a tool for the capital (overuse) and for the sum."""
    call = ["calculator", '{"expression": "6 * 7"}']
    return frontier(
        answers={question: said for question, (_, said) in QUESTIONS.items()},
        calls={"6 * 7?": [call], "capital?": [call]},
    )


@pytest.fixture
def questions(tmp_path):
    return write_lines(
        tmp_path / "questions.jsonl",
        [
            {"id": f"q{number}", "prompt": question, "answer": answer, "tools": ["calculator"]}
            for number, (question, (answer, _)) in enumerate(QUESTIONS.items())
        ],
    )


def behind(server, *arguments):
    return ("--endpoint", server.url, "--endpoint-model", "lab/double-1", *arguments)


def test_probe_evaluate_and_report_of_a_model_behind_an_endpoint(
    tmp_path, command, server, questions, monkeypatch
):
    monkeypatch.setenv("LAB_KEY", KEY)
    known, out = tmp_path / "known.jsonl", tmp_path / "run"
    access = behind(server, "--api-key-env", "LAB_KEY", "--set", f"model.endpoint.cache={tmp_path / 'c.db'}")
    probe = ("probe", *access, "--tasks", questions, "--out", known, "--samples", 6)
    done = command(*probe)
    assert done.exit_code == 0, done.output
    assert "double-1" in done.stdout
    tasks = read_tasks(known)
    assert [task.info.get("needs_tool") for task in tasks][:2] == [False, True]
    shares = [task.info["known_share"] for task in tasks]
    assert (shares[0], shares[1], shares[3]) == (1.0, 0.0, 0.0)
    assert 0 < shares[2] < 1
    assert tasks[2].info["knowledge"] == Thresholds().label(shares[2])
    assert [task.tools for task in tasks] == [("calculator",)] * 4
    assert tasks[0].info["probe"] | {"settings": ""} == {
        "model": "double-1",
        "samples": 6,
        "temperature": TEMPERATURE,
        "judge": "exact_match",
        "correct_from": 1.0,
        "short": False,
        "seed": 0,
        "settings": "",
        "correct": 6,
        "cut": 0,
        "calls": 0,
    }
    asked = server.requests
    assert len(asked) == 24
    assert not any("tools" in request["body"] for request in asked)
    assert {request["body"]["temperature"] for request in asked} == {TEMPERATURE}
    assert len({request["body"]["seed"] for request in asked}) == 24

    # Again with other thresholds: labelled anew, and nobody is asked.
    first = known.read_text()
    again = command(*probe, "--known-from", 1, "--unknown-up-to", shares[2])
    assert again.exit_code == 0
    relabelled = read_tasks(known)
    assert [task.info["knowledge"] for task in relabelled] == ["known", "unknown", "unknown", "unknown"]
    command(*probe)
    assert known.read_text() == first
    assert len(server.requests) == 24

    done = command("evaluate", *access, "--tasks", known, "--out", out)
    assert done.exit_code == 0, done.output
    (record,) = json.loads((out / "results.json").read_text())
    assert record["policy"] == "double-1"
    assert (record["overuse"], record["underuse"]) == (1.0, 0.5)
    assert record["boundary_agreement"] == pytest.approx(1 / 3)
    assert record["crossing"]["within"]["called"] == {"questions": 1, "correct": 0}
    assert record["crossing"]["beyond"] == {
        "called": {"questions": 1, "correct": 1},
        "not_called": {"questions": 1, "correct": 0},
    }
    lines = [json.loads(line) for line in (out / "rollouts" / "double-1.jsonl").read_text().splitlines()]
    assert [len(line["turns"]) for line in lines] == [4, 2, 2, 4]
    assert command("doctor", out).exit_code == 0
    assert command("report", out).exit_code == 0
    page = (out / "report.html").read_text()
    assert "What it knew and what it did" in page
    assert "uncertain or not said" in page

    # A second run pays nothing, and the key is in no file.
    before = len(server.requests)
    done = command("evaluate", *access, "--tasks", known, "--out", out)
    assert "endpoint: 0 requests" in done.stdout
    assert len(server.requests) == before
    assert {request["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_probe_goes_on_where_it_was_stopped(tmp_path, command, server, questions):
    def probe(out, *more):
        return command("probe", *behind(server), "--tasks", questions, "--out", out, "--samples", 4, *more)

    straight, stopped = tmp_path / "straight.jsonl", tmp_path / "stopped.jsonl"
    assert probe(straight).exit_code == 0
    budget = ("--set", "model.endpoint.budget={requests: 9}", "--set", "model.endpoint.concurrency=2")
    done = probe(stopped, *budget)
    assert done.exit_code == 2
    assert "the budget is spent: 9 of 9 requests" in done.stderr
    finished = stopped.read_text().splitlines()
    assert 1 <= len(finished) < 4
    with stopped.open("a") as file:
        file.write('{"id": "q9", "half a li')  # killed while it wrote
    before = len(server.requests)
    done = probe(stopped)
    assert done.exit_code == 0, done.output
    assert "of 4 questions stand in" in done.stdout
    assert len(server.requests) - before == 4 * (4 - len(finished))
    assert stopped.read_text() == straight.read_text()
    # What was asked otherwise is not mixed in.
    for more, part in [
        (("--temperature", 0.2), "temperature 0.7, not 0.2"),
        (("--seed", 5), "seed 0, not 5"),
        (("--judge", "f1"), "judge 'exact_match', not 'f1'"),
        (("--set", "rollout.limits.max_turn_tokens=7"), "settings"),
    ]:
        done = probe(stopped, *more)
        assert done.exit_code == 2
        assert part in done.stderr
    assert stopped.read_text() == straight.read_text()
    write_lines(questions, [{"id": "q0", "prompt": "another?", "answer": "Paris"}])
    assert "another prompt or answer" in probe(stopped).stderr
    assert "not written by a probe" in probe(questions).stderr
    assert probe(tmp_path / "x.parquet").exit_code == 2


@pytest.mark.parametrize(
    "judge, answer, said, share",
    [
        ("exact_match", "the Seine", "Well.\nAnswer: Seine.", 1.0),
        ("exact_match", "Seine", "Seine", 0.0),  # without the marker there is no answer
        ("f1", "river Seine in Paris", "Answer: Seine Paris", 1.0),  # 2 of 4 and 2 words: F1 2/3
        ("f1", "river Seine in Paris", "Answer: Seine and nothing else that matters", 0.0),
        ("numeric", "1,776", "Answer: 1776 or so", 1.0),
    ],
)
def test_short_answers_and_their_judges(tmp_path, command, frontier, judge, answer, said, share):
    server = frontier(answers={"q?": said})
    tasks = write_lines(tmp_path / "t.jsonl", [{"id": "t", "prompt": "q?", "answer": answer}])
    out = tmp_path / "known.jsonl"
    done = command(
        "probe", *behind(server), "--tasks", tasks, "--out", out, "--samples", 2, "--short", "--judge", judge
    )
    assert done.exit_code == 0, done.output
    (task,) = read_tasks(out)
    assert task.info["known_share"] == share
    assert task.prompt == ({"role": "user", "content": "q?"},)  # as it was, for the evaluation
    assert MARKER in server.requests[0]["body"]["messages"][0]["content"]


def test_the_probe_of_a_model_folder(tmp_path, command, model_folder, tasks_file):
    def probe(out, *more):
        chosen = ("--model", model_folder, "--tasks", tasks_file, "--out", out)
        return command("probe", *chosen, "--samples", 3, "--set", "rollout.limits.max_turn_tokens=8", *more)

    done = probe(tmp_path / "all.jsonl")
    assert done.exit_code == 0, done.output
    tasks = read_tasks(tmp_path / "all.jsonl")
    # Random weights know nothing, and what the file said of the boundary before is replaced.
    assert [task.info["needs_tool"] for task in tasks] == [True] * 6
    assert [task.info["domain"] for task in tasks] == ["math"] * 6
    assert "of 18 samples were cut" in done.stdout
    # In two parts it comes out the same.
    probe(tmp_path / "parts.jsonl", "--limit", 2)
    probe(tmp_path / "parts.jsonl")
    assert (tmp_path / "parts.jsonl").read_text() == (tmp_path / "all.jsonl").read_text()


def test_what_the_probe_refuses(tmp_path, command, server, questions):
    def message(*more):
        done = command("probe", *behind(server), "--tasks", questions, "--out", tmp_path / "o.jsonl", *more)
        assert done.exit_code == 2, done.output
        return done.stderr

    assert "known_from is 0" in message("--known-from", 0)
    assert "unknown_up_to is 0.9" in message("--unknown-up-to", 0.9)
    assert "all samples of a question are equal" in message("--temperature", 0)
    assert "correct_from is 2" in message("--correct-from", 2)
    assert "add --judge" in message("--config", "toolrl", "--format", "own")
    write_lines(questions, [{"id": "q", "prompt": "?"}])
    assert "cannot be used" in message()


def test_defaults_on_the_command_line_are_those_of_the_library():
    import inspect

    from toolwise.cli.probing import probe

    given = {name: parameter.default for name, parameter in inspect.signature(probe).parameters.items()}
    settings = ProbeSettings()
    assert (given["samples"], given["temperature"]) == (settings.samples, settings.temperature)
    assert settings.samples == SAMPLES
    thresholds = settings.thresholds
    assert (given["known_from"], given["unknown_up_to"]) == (
        thresholds.known_from,
        thresholds.unknown_up_to,
    )


def test_rollout_shows_what_a_model_behind_an_endpoint_says(command, server, questions):
    done = command("rollout", *behind(server), "--tasks", questions, "--limit", 4)
    assert done.exit_code == 0, done.output
    assert "<tool_call>" in done.stdout
    assert "answer: 42" in done.stdout
    assert "expected: Paris" in done.stdout
    assert "0 tokens" not in done.stdout
    assert "endpoint: 6 requests" in done.stdout


def test_mistakes_with_endpoints_are_messages(
    tmp_path, command, server, questions, model_folder, monkeypatch
):
    def message(*arguments, verb=("rollout",)):
        done = command(*verb, *arguments, "--tasks", questions)
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        return done.stderr

    monkeypatch.delenv("LAB_KEY", raising=False)
    assert "add --endpoint-model" in message("--endpoint", server.url)
    assert "'source' or 'endpoint'" in message(*behind(server), "--model", model_folder)
    assert "LAB_KEY: is not set" in message(*behind(server, "--api-key-env", "LAB_KEY"))
    found = message(*behind(server, "--api-key-env", KEY))
    assert "name of an environment variable" in found
    assert KEY not in found
    found = message("--endpoint", f"http://me:{KEY}@host/v1", "--endpoint-model", "m")
    assert "no user, password" in found
    assert KEY not in found
    assert "status 404" in message("--endpoint", server.url + "/v2", "--endpoint-model", "m")
    assert "dialect.type: is toolrl" in message(*behind(server), "--config", "toolrl", "--format", "own")
    template = ("--set", "dialect={type: hermes, template_arguments: {enable_thinking: false}}")
    assert "chat_template_kwargs" in message(*behind(server), *template)
    endpoint = f"model.endpoint={{base_url: '{server.url}', model: m}}"
    out = ("--out", tmp_path / "run")
    assert "measured but not trained" in message("--set", endpoint, *out, verb=("train", "rl", "grpo"))
    assert not (tmp_path / "run").exists()


def test_a_user_behind_an_endpoint_answers_a_model_behind_another(tmp_path, command, frontier):
    user = frontier(answers={"*": "Green, please."})
    agent = frontier(calls={"Tea!": [["ask_user", '{"question": "Which tea?"}']]})
    tasks = write_lines(
        tmp_path / "t.jsonl",
        [
            {
                "id": "t",
                "prompt": "Tea!",
                "tools": ["ask_user"],
                "answer": "Green, please.",
                "info": {"persona": {"tea": "Green, please."}},
            }
        ],
    )
    played = f"tools=[{{type: ask_user, user: {{type: endpoint, base_url: '{user.url}', model: u, backoff: 0"
    done = command("rollout", *behind(agent), "--tasks", tasks, "--set", played + "}}]")
    assert done.exit_code == 0, done.output
    assert "answer: Green, please." in done.stdout
    (request,) = user.requests
    assert request["body"]["messages"][-1] == {"role": "user", "content": "Which tea?"}
    assert "tea: Green" in request["body"]["messages"][0]["content"]
    # One that is not there is a failed call that the agent reads; one that refuses for good ends the run.
    user.stop()
    done = command("rollout", *behind(agent), "--tasks", tasks, "--set", played + ", retries: 0}}]")
    assert done.exit_code == 0, done.output
    assert "the user does not answer just now" in done.stdout
    refusing = frontier(plan=[{"status": 401, "body": {"error": {"message": "who?"}}}])
    played = played.replace(user.url, refusing.url)
    done = command("rollout", *behind(agent), "--tasks", tasks, "--set", played + "}}]")
    assert done.exit_code == 2
    assert "tool 'ask_user'" in done.stderr
    assert "who?" in done.stderr
