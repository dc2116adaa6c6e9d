from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolwise.core import ToolwiseError
from toolwise.data import read_demonstrations, read_tasks

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def published(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the public data set {'/'.join(parts)} is not beside the checkout")
    return path


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


STEPS = {
    "question": "How many?",
    "answer": "Half is 48/2 = <<48/2=24>>24.\nA fifth is 20% = <<20%=0.2>>0.2 of it.\n"
    "In all <<24*50=1200>>1,200.\n#### 1,200",
}


def test_gsm8k_tasks(tmp_path):
    (task,) = read_tasks(write(tmp_path / "g.jsonl", STEPS), "gsm8k")
    assert (task.id, task.tools, task.answer) == ("gsm8k-1", ("calculator",), "1200")
    assert task.prompt == ({"role": "user", "content": "How many?"},)
    assert task.info["solution"] == STEPS["answer"]


def test_gsm8k_steps_become_calls(tmp_path):
    (demonstration,) = read_demonstrations(write(tmp_path / "g.jsonl", STEPS), "gsm8k")
    said = [message for message in demonstration.messages if message["role"] == "assistant"]
    assert [message["reasoning_content"] for message in said] == [
        "Half is 48/2 =",
        # The calculator cannot read "20%": the step stays in the thought.
        "24.\nA fifth is 20% = 0.2 of it.\nIn all",
        "1,200.",
    ]
    calls = [message["tool_calls"][0]["function"]["arguments"]["expression"] for message in said[:-1]]
    assert calls == ["48/2", "24*50"]
    assert [m["content"] for m in demonstration.messages if m["role"] == "tool"] == ["24", "1200"]
    assert said[-1]["content"] == "1200"


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"question": "?"}, "'answer' is missing"),
        ({"question": "?", "answer": "4"}, "no final answer"),
        ({"question": "", "answer": "#### 4"}, "'question' is not a text"),
        ([], "'question' is missing"),
    ],
)
def test_broken_gsm8k_rows(tmp_path, record, problem):
    path = write(tmp_path / "g.jsonl", STEPS, record)
    for read in (read_tasks, read_demonstrations):
        with pytest.raises(ToolwiseError) as caught:
            read(path, "gsm8k")
        assert "row 2: " in str(caught.value)
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "does not exist"),
        ("{", "cannot be read as JSON"),
        ("{}", "is not a list"),
        ("[]", "has no rows"),
        ('[{"instruction": "a", "input": "b"}]', "row 1: field 'output' is missing"),
        ('[{"prompt": "a"}]', "row 1: field 'ground_truth' is missing"),
        ('[{"prompt": [], "reward_model": {"ground_truth": "x"}}]', "row 1: field 'prompt' is empty"),
    ],
)
def test_broken_rlla_files(tmp_path, content, problem):
    path = tmp_path / "rlla.json"
    if content is not None:
        path.write_text(content)
    for read in (read_tasks, read_demonstrations):
        with pytest.raises(ToolwiseError) as caught:
            read(path, "rlla")
        assert problem in str(caught.value)


@pytest.mark.data
def test_the_published_gsm8k():
    path = published("gsm8k", "train.jsonl")
    tasks = read_tasks(path, "gsm8k")
    assert len(tasks) == 7473
    assert all(float(task.answer) == float(task.answer) for task in tasks)
    demonstrations = read_demonstrations(path, "gsm8k")
    assert [demonstration.id for demonstration in demonstrations] == [task.id for task in tasks]
    assert all(d.messages[-1]["content"] == t.answer for d, t in zip(demonstrations, tasks, strict=True))
    assert "<<" not in json.dumps([d.messages for d in demonstrations])
    calling = sum(any(m["role"] == "tool" for m in d.messages) for d in demonstrations)
    assert calling / len(demonstrations) > 0.98


@pytest.mark.data
def test_the_published_toolrl_data():
    tasks = read_tasks(published("toolrl_rlla", "test.parquet"), "rlla")
    assert len(tasks) == 40
    for task in tasks:
        assert [message["role"] for message in task.prompt] == ["system", "user"]
        assert task.answer.startswith("<think>")
        assert task.tools == ()
    demonstrations = read_demonstrations(published("toolrl_rlla", "rlla_sft.json"), "rlla")
    assert len(demonstrations) == 301
    assert all(d.messages[-1]["content"].startswith("<think>") for d in demonstrations)
    assert len(read_tasks(published("toolrl_rlla", "rlla_sft.json"), "rlla")) == 301
