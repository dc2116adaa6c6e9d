"""Search-R1 by the command line: a tiny model learns the turns, searches a real corpus and is trained."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from model_folders import write_lines, write_model

from toolwise.tools import SearchIndex, retrieval_server

TOWNS = {"Ada": "Arden", "Bo": "Corvo", "Cy": "Delph", "Di": "Ebro"}


def settings(*pairs: str) -> tuple[str, ...]:
    return tuple(part for pair in pairs for part in ("--set", pair))


SMALL = settings(
    "rollout.tasks_per_step=4",
    "rollout.group_size=3",
    "rollout.limits.max_turn_tokens=60",
    "training.steps=2",
    "training.mini_batches=1",
    "training.checkpoint_every=1",
    "training.written_trees=4",
    "learner.learning_rate=1e-3",
)


def question(name: str) -> str:
    # The prompt names the tags itself, so that it stays short.
    return f"Use <think>, <search> and <answer>. Where is {name}?"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    records = [
        {"id": name, "contents": f'"{name}"\nThe town of {name} is {town}.'} for name, town in TOWNS.items()
    ]
    return write_lines(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", records)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> Path:
    records = [{"question": question(name), "answer": [town]} for name, town in TOWNS.items()]
    return write_lines(tmp_path_factory.mktemp("tasks") / "qa.jsonl", records)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus) -> Path:
    """A tiny model that knows four conversations by heart, so that its searches are real ones."""
    from typer.testing import CliRunner

    from toolwise.cli.app import app

    folder = tmp_path_factory.mktemp("searchr1")
    conversations = []
    for name, town in TOWNS.items():
        call = {"type": "function", "function": {"name": "search", "arguments": {"query": f"town of {name}"}}}
        found = f'Doc 1(Title: "{name}") The town of {name} is {town}.'
        conversations.append(
            {
                "id": name,
                "tools": ["search"],
                "messages": [
                    {"role": "user", "content": question(name)},
                    {"role": "assistant", "content": "", "reasoning_content": "ask", "tool_calls": [call]},
                    {"role": "tool", "name": "search", "content": found},
                    {"role": "assistant", "content": town, "reasoning_content": "so"},
                ],
            }
        )
    start = write_model(folder / "model", "qwen3")
    arguments = [
        *("train", "sft", "sft", "--model", start, "--out", folder / "sft", "--corpus", corpus),
        *("--tasks", write_lines(folder / "demos.jsonl", conversations)),
        *settings("dialect.type=search_r1", "learner.learning_rate=1e-2", "learner.schedule=constant"),
        *settings("training.batch_size=4", "training.steps=70"),
    ]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return folder / "sft"


def records(folder: Path, step: int) -> list[dict]:
    return [
        json.loads(line) for line in (folder / "rollouts" / f"step_{step:06d}.jsonl").read_text().splitlines()
    ]


def test_rollouts_search_are_rewarded_and_train(tmp_path, command, trained, corpus, tasks):
    run = tmp_path / "run"
    done = command(
        *("train", "rl", "search-r1", "--model", trained, "--tasks", tasks, "--format", "qa"),
        *("--corpus", corpus, "--out", run, *SMALL, *settings("tools.0.top_k=1")),
    )
    assert done.exit_code == 0, done.output
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics] == [1, 2]
    assert metrics[0]["calls_per_rollout"] > 0.5
    assert {"reward_correct", "reward_format", "reward_retrieved", "kl", "entropy"} <= metrics[0].keys()
    assert metrics[0]["reward_retrieved"] > 0
    searched = 0
    for record in records(run, 1):
        for turn in record["turns"]:
            if turn["role"] == "assistant":
                continue
            # Nothing pulls on what was not sampled.
            assert set(turn["advantages"]) <= {0.0}
            if turn["results"] and turn["results"][0]["error"] is None:
                shown = turn["results"][0]["content"]
                assert turn["text"] == f"\n\n<information>{shown}</information>\n\n"
                assert shown.startswith("Doc 1(Title: ") or shown == "No passage was found."
                searched += 1
    assert searched
    assert (run / "report.html").is_file()


def test_the_last_turn_is_forced(tmp_path, command, trained, corpus, tasks):
    """With one turn only, a model that wants to search is not answered, and the search still counts."""
    run = tmp_path / "run"
    done = command(
        *("train", "rl", "search-r1", "--model", trained, "--tasks", tasks, "--format", "qa"),
        *(
            "--corpus",
            corpus,
            "--out",
            run,
            *SMALL,
            *settings("rollout.limits.max_turns=1", "training.steps=1"),
        ),
    )
    assert done.exit_code == 0, done.output
    (line,) = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert line["calls_per_rollout"] > 0.5
    for record in records(run, 1):
        assert [turn["role"] for turn in record["turns"]] == ["prompt", "assistant"]
        if record["turns"][1]["calls"]:
            assert record["stop"] == "max_turns"


def test_a_server_stands_in_for_the_corpus(tmp_path, command, trained, corpus, tasks, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = retrieval_server(SearchIndex.from_file(corpus), port=0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/retrieve"
        cache = tmp_path / "cache"
        tool = f"{{type: http_search, url: '{url}', layout: search_r1, top_k: 1, cache: '{cache}'}}"
        found = {}
        for name, tools in (("http", ("--set", f"tools=[{tool}]")), ("own", ("--corpus", corpus))):
            out = tmp_path / name
            done = command(
                *(
                    "evaluate",
                    "--model",
                    trained,
                    "--config",
                    "search-r1",
                    "--tasks",
                    tasks,
                    "--format",
                    "qa",
                ),
                *("--out", out, "--policy", "tiny", *tools, *settings("rollout.limits.max_turn_tokens=60")),
                *(() if name == "http" else settings("tools.0.top_k=1")),
            )
            assert done.exit_code == 0, done.output
            lines = (out / "rollouts" / "tiny.jsonl").read_text().splitlines()
            found[name] = [[turn["text"] for turn in json.loads(line)["turns"]] for line in lines]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert found["http"] == found["own"]
    assert any("<information>Doc 1(Title: " in text for texts in found["http"] for text in texts)
    assert (cache / "queries.sqlite").is_file()


def test_published_groups_and_scores_by_two_keys(tmp_path, command, trained, corpus):
    def record(source: str, name: str) -> dict:
        return {
            "data_source": source,
            "prompt": [{"role": "user", "content": question(name)}],
            "reward_model": {"style": "rule", "ground_truth": {"target": [TOWNS[name]]}},
            "extra_info": {"split": "train", "index": 0},
        }

    path = write_lines(tmp_path / "train.jsonl", [record("nq", "Ada"), record("hotpotqa", "Bo")])
    for name, keys, groups in (
        ("mended", (), {"nq-train-0", "hotpotqa-train-0"}),
        ("published", ("reward.mode=published", "rollout.group_by=index"), {"0"}),
    ):
        run = tmp_path / name
        done = command(
            *("train", "rl", "search-r1", "--model", trained, "--tasks", path, "--corpus", corpus),
            *("--out", run, *SMALL, *settings("rollout.tasks_per_step=2", "training.steps=1", *keys)),
        )
        assert done.exit_code == 0, done.output
        assert {line["group"] for line in records(run, 1)} == groups


def test_without_a_corpus_it_says_what_is_missing(command, trained, tasks):
    done = command("train", "rl", "search-r1", "--model", trained, "--tasks", tasks, "--format", "qa")
    assert done.exit_code == 2
    assert "no corpus is given" in done.output
    assert "--corpus FILE" in done.output
