"""Readers of public benchmarks: counts on the published files, and invented records in the same shape."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from jsonschema import Draft202012Validator

from toolwise.core import ToolwiseError
from toolwise.data.benchmarks import (
    read_api_bank,
    read_api_bank_toolrl,
    read_bamboogle,
    read_bfcl,
    read_gsm8k,
    read_math500,
    read_metatool_awareness,
    read_metatool_selection,
    read_multihop,
    read_nq_open,
    tool_spec,
)

JAVA = {
    "name": "Store.save",
    "description": "Saves.",
    "parameters": {
        "type": "dict",
        "properties": {
            "key": {"type": "String", "description": "The key."},
            "names": {"type": "ArrayList", "description": "The names.", "items": {"type": "String"}},
        },
        "required": ["key"],
    },
}
PYTHON = {
    "name": "geo.area",
    "description": "An area.",
    "parameters": {
        "type": "dict",
        "properties": {
            "size": {"type": "float", "description": "In metres.", "default": 1.0},
            "corner": {"type": "tuple", "items": {"type": "float"}, "description": "A point."},
            "style": {"type": "dict", "properties": {"bold": {"type": "boolean"}}, "required": ["bold"]},
        },
        "required": ["size"],
    },
}
ITEM = {
    "id": "simple_python_0",
    "question": [[{"role": "user", "content": "How big?"}]],
    "function": [PYTHON],
}
ANSWER = {"id": "simple_python_0", "ground_truth": [{"geo.area": {"size": [2.0], "corner": [""]}}]}


def lines(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_schemas():
    spec = tool_spec(PYTHON)["function"]
    Draft202012Validator.check_schema(spec["parameters"])
    assert spec["name"] == "geo.area"
    assert spec["parameters"] == {
        "type": "object",
        "properties": {
            "size": {"type": "number", "description": "In metres.", "default": 1.0},
            "corner": {"type": "array", "description": "A point.", "items": {"type": "number"}},
            "style": {"type": "object", "properties": {"bold": {"type": "boolean"}}, "required": ["bold"]},
        },
        "required": ["size"],
    }
    assert tool_spec(PYTHON, underscore_names=True)["function"]["name"] == "geo_area"
    java = tool_spec(JAVA, "java")["function"]
    assert {each["type"] for each in java["parameters"]["properties"].values()} == {"string"}
    assert "ArrayList" in java["parameters"]["properties"]["names"]["description"]


def test_bfcl(tmp_path):
    lines(tmp_path / "BFCL_v4_simple_python.json", ITEM)
    lines(tmp_path / "possible_answer" / "BFCL_v4_simple_python.json", ANSWER)
    lines(tmp_path / "BFCL_v4_live_irrelevance.json", {**ITEM, "id": "live_irrelevance_0-0-0"})
    one, other = read_bfcl(tmp_path)
    assert (one.id, one.answer, one.prompt[0]["content"]) == (
        "simple_python_0",
        ANSWER["ground_truth"],
        "How big?",
    )
    assert one.info == {"category": "simple_python", "language": "python", "functions": [PYTHON]}
    assert (other.answer, other.info["category"]) == (None, "live_irrelevance")
    assert read_bfcl(tmp_path, ["live_irrelevance"]) == [other]


def test_bfcl_with_several_turns(tmp_path):
    turns = [[{"role": "user", "content": "Do it."}], [], [{"role": "user", "content": "Again."}]]
    functions = [{**PYTHON, "name": name} for name in ("mv", "cp", "ls")]
    item = {
        "id": "multi_turn_miss_func_0",
        "question": turns,
        "initial_config": {"GorillaFileSystem": {"root": {}}},
        "path": [],
        "involved_classes": ["GorillaFileSystem"],
        "missed_function": {"1": ["mv"]},
        "excluded_function": ["cp"],
    }
    lines(tmp_path / "BFCL_v4_multi_turn_miss_func.json", item)
    answer = {"id": item["id"], "ground_truth": [["ls()"], [], ["mv()"]]}
    lines(tmp_path / "possible_answer" / "BFCL_v4_multi_turn_miss_func.json", answer)
    lines(tmp_path / "multi_turn_func_doc" / "gorilla_file_system.json", *functions)
    (task,) = read_bfcl(tmp_path, ["multi_turn_miss_func"])
    assert [tool["function"]["name"] for tool in task.tools] == ["ls"]
    assert [each["name"] for each in task.info["functions"]] == ["mv", "ls"]
    assert task.info["turns"] == turns
    assert [tool["function"]["name"] for tool in task.info["added_tools"]["1"]] == ["mv"]
    assert task.answer == [["ls()"], [], ["mv()"]]


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(ToolwiseError, match="does not exist"):
        read_bfcl(tmp_path / "nowhere")
    with pytest.raises(ToolwiseError, match="holds no file"):
        read_bfcl(tmp_path)
    with pytest.raises(ToolwiseError, match="category 'simple' is not known"):
        read_bfcl(tmp_path, ["simple"])
    lines(tmp_path / "BFCL_v4_simple_python.json", ITEM, {**ITEM, "id": "simple_python_1"})
    lines(tmp_path / "possible_answer" / "BFCL_v4_simple_python.json", ANSWER)
    with pytest.raises(ToolwiseError, match="row 2: 'simple_python_1' has no possible answer"):
        read_bfcl(tmp_path)
    (tmp_path / "data.json").write_text('[{"Question": "Who?", "Answer": "I"}, {"Question": "Who?"}]')
    with pytest.raises(ToolwiseError, match="row 2: field 'Answer' is missing"):
        read_bamboogle(tmp_path)
    (tmp_path / "data.json").write_text("[")
    with pytest.raises(ToolwiseError, match="cannot be read as JSON"):
        read_bamboogle(tmp_path)


def test_api_bank(tmp_path):
    request = {
        "file": "x",
        "id": 0,
        "instruction": "Write.",
        "input": "User: now?",
        "expected_output": "[Now()]",
    }
    (tmp_path / "level-1-api.json").write_text(json.dumps([request]))
    third = {
        "instruction": "Write.",
        "input": "User: then?",
        "output": "[Then()]",
        "sample_id": 0,
        "api_id": 0,
    }
    (tmp_path / "level-3-batch-inf.json").write_text(json.dumps([third]))
    tasks = read_api_bank(tmp_path)
    assert [(t.id, t.answer, t.info["category"]) for t in tasks] == [
        ("level-1-1", "[Now()]", "level-1"),
        ("level-3-1", "[Then()]", "level-3"),
    ]
    call = {"name": "Now", "parameters": {}}
    for level, answer in ((1, [call]), (2, call)):
        record = {"system": "Tools: Now.", "user": "Now?", "answer": answer, "other": {}}
        (tmp_path / f"level-{level}-api_processed.json").write_text(json.dumps([record]))
    assert [t.answer for t in read_api_bank_toolrl(tmp_path)] == [call, call]


def test_metatool(tmp_path):
    aware = [
        {
            "thought_prompt": "Is a tool needed for 'now'?",
            "label": "positive",
            "tool": "Clock",
            "query": "now",
        },
        {"thought_prompt": "Is a tool needed for 'hi'?", "label": "negative", "query": "hi"},
    ]
    (tmp_path / "Task1.json").write_text(json.dumps(aware))
    assert [(t.answer, t.info["needs_tool"]) for t in read_metatool_awareness(tmp_path)] == [
        ("yes", True),
        ("no", False),
    ]
    prompt = (
        "Choose.\n1. tool name: Clock, tool description: Time.\n2. tool name: A&B, tool description: Both."
    )
    records = {3: "Map", 4: ["A&B", "Clock"]}
    for number, tool in records.items():
        record = {"action_prompt": prompt, "thought_prompt": "?", "tool": tool, "query": "?"}
        (tmp_path / f"Task2-Subtask{number}.json").write_text(json.dumps([record]))
    found = [(t.info["category"], t.answer, t.info["candidates"]) for t in read_metatool_selection(tmp_path)]
    assert found == [
        ("reliability", [], ["Clock", "A&B"]),
        ("multi-tool", ["A&B", "Clock"], ["Clock", "A&B"]),
    ]


def test_questions(tmp_path):
    lines(tmp_path / "NQ-open.dev.jsonl", {"question": "who", "answer": ["I", "me"]})
    lines(tmp_path / "musique" / "test.jsonl", {"question": "who", "answer": ["I"]})
    lines(tmp_path / "gsm" / "test.jsonl", {"question": "2+2?", "answer": "It is 4.\n#### 1,004"})
    lines(tmp_path / "math" / "test.jsonl", {"problem": "$x$?", "answer": "\\pi", "subject": "Algebra"})
    assert [t.answer for t in read_nq_open(tmp_path)] == [["I", "me"]]
    assert [t.info for t in read_multihop(tmp_path)] == [{"category": "musique"}]
    assert [t.answer for t in read_gsm8k(tmp_path / "gsm")] == ["1004"]
    (task,) = read_math500(tmp_path / "math")
    assert (task.answer, task.info, task.prompt[-1]["content"]) == ("\\pi", {"category": "Algebra"}, "$x$?")


@pytest.mark.data
@pytest.mark.parametrize(
    "read, folder, counts",
    [
        (
            read_bfcl,
            "bfcl_v4",
            {
                "simple_python": 400,
                "simple_java": 100,
                "simple_javascript": 50,
                "multiple": 200,
                "parallel": 200,
                "parallel_multiple": 200,
                "irrelevance": 240,
            },
        ),
        (read_api_bank, "api_bank", {"level-1": 202, "level-2": 53, "level-3": 137}),
        (read_api_bank_toolrl, "api_bank", {"level-1": 202, "level-2": 29, "level-3": 72}),
        (read_metatool_awareness, "metatool", {"positive": 261, "negative": 273}),
        (read_metatool_selection, "metatool", {"reliability": 494, "multi-tool": 231}),
        (read_bamboogle, "bamboogle", {"": 67}),
        (read_nq_open, "nq_open", {"": 1777}),
        (read_multihop, "multihop_qa", {"hotpotqa": 102, "2wiki": 111, "musique": 89}),
        (read_gsm8k, "gsm8k", {"": 689}),
        (read_math500, "math500", {"": 246}),
    ],
)
def test_published_files(read, folder, counts, shared_dir):
    place = shared_dir / "data" / folder
    if not place.is_dir():
        pytest.skip(f"{folder} is not among the data")
    tasks = read(place)
    found = Counter(task.info.get("category", "") for task in tasks)
    # At least these: the files beside the checkout may be whole or a part of the published ones.
    assert all(found[category] >= count for category, count in counts.items()), found
    assert len({task.id for task in tasks}) == len(tasks)
    for task in tasks[::20]:
        for tool in task.tools:
            Draft202012Validator.check_schema(tool["function"]["parameters"])
