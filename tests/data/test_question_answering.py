from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolwise.core import ToolwiseError
from toolwise.data import read_demonstrations, read_tasks
from toolwise.rewards import reference_answers

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def verl_record(source, index, **changed):
    record = {
        "id": f"test_{index}",
        "question": "who?",
        "golden_answers": ["Ada", "A."],
        "data_source": source,
        "prompt": [{"role": "user", "content": "Say it in <answer>. Question: who?"}],
        "ability": "fact-reasoning",
        "reward_model": {"style": "rule", "ground_truth": {"target": ["Ada", "A."]}},
        "extra_info": {"split": "test", "index": index},
        "metadata": None,
    }
    return record | changed


def test_questions_and_answers(tmp_path):
    path = write(
        tmp_path / "qa.jsonl",
        {"question": " who? ", "answer": ["Ada", "A."], "level": "hard", "other": {"x": 1}},
        {"id": 0, "question": "how many?", "answers": 3},
        {"id": "x", "Question": "where?", "Answer": "Arden"},
    )
    first, second, third = read_tasks(path, "qa")
    assert (first.id, first.tools, first.answer) == ("qa-1", ("search",), ["Ada", "A."])
    assert first.prompt == ({"role": "user", "content": "who?"},)
    assert first.info == {"level": "hard"}
    assert (second.id, second.answer) == ("0", "3")
    assert (third.id, reference_answers(third)) == ("x", ("Arden",))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_search_r1_records(tmp_path, suffix):
    path = tmp_path / f"test{suffix}"
    records = [verl_record("nq", 0), verl_record("hotpotqa", 0)]
    if suffix == ".jsonl":
        write(path, *records)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(records), path)
    first, second = read_tasks(path, "search_r1")
    assert (first.id, second.id) == ("nq-test-0", "hotpotqa-test-0")
    assert first.prompt == tuple(records[0]["prompt"])
    assert reference_answers(first) == ("Ada", "A.")
    assert first.tools == ("search",)
    # What the published trainer groups by is the same for both.
    assert first.info == {"domain": "nq", "index": 0}
    assert second.info["index"] == 0


@pytest.mark.parametrize(
    ("format", "record", "problem"),
    [
        ("qa", [], "'question' is missing"),
        ("qa", {"question": " ", "answer": "a"}, "'question' is not a text"),
        ("qa", {"question": "a"}, "'answer' is missing"),
        ("qa", {"question": "a", "answer": []}, r"'answer' is \[\]"),
        ("qa", {"question": "a", "answer": [1]}, r"'answer' is \[1\]"),
        ("qa", {"question": "a", "answer": True}, "'answer' is True"),
        ("search_r1", {"data_source": "nq"}, "'prompt' is missing"),
        ("search_r1", verl_record("nq", 1, prompt=[]), "'prompt' is empty"),
        ("search_r1", verl_record("", 1), "'data_source' is not a text"),
        ("search_r1", verl_record("nq", 1, reward_model={"ground_truth": "Ada"}), "'target' is missing"),
        ("search_r1", verl_record("nq", 1, reward_model=None), "'ground_truth' is missing"),
        ("search_r1", verl_record("nq", 0), "as in row 1"),
    ],
)
def test_broken_rows_are_named(tmp_path, format, record, problem):
    good = {"question": "a", "answer": "b"} if format == "qa" else verl_record("nq", 0)
    with pytest.raises(ToolwiseError, match=f"row 2: .*{problem}"):
        read_tasks(write(tmp_path / "tasks.jsonl", good, record), format)


def test_there_are_no_turns_to_imitate(tmp_path):
    path = write(tmp_path / "qa.jsonl", {"question": "a", "answer": "b"})
    for format in ("qa", "search_r1"):
        with pytest.raises(ToolwiseError, match="no turns to imitate"):
            read_demonstrations(path, format)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("nq_open/NQ-open.dev.jsonl", 1777),
        ("bamboogle/data.json", 67),
        ("multihop_qa/hotpotqa/test.jsonl", 102),
        ("multihop_qa/2wiki/test.jsonl", 111),
        ("multihop_qa/musique/test.jsonl", 89),
    ],
)
def test_published_files(name, count):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the public data set {name} is not beside the checkout")
    tasks = read_tasks(path, "qa")
    # The copy beside the checkout may hold a part of the set only.
    assert len(tasks) >= count
    for task in tasks:
        assert all(answer.strip() for answer in reference_answers(task))
        assert task.prompt[0]["content"]
