"""BFCL's items with several user turns: against its own program, where bfcl-eval is installed."""

from __future__ import annotations

import ast
import copy
import json
import random
import sys

import pytest
from bfcl_official import official_module

from toolwise.core import Task, ToolCall, ToolwiseError
from toolwise.data.benchmarks import read_bfcl
from toolwise.evaluation.benchmarks import Output, check_turns

ROOT = {"workspace": {"type": "directory", "contents": {"a.txt": {"type": "file", "content": "one\ntwo"}}}}
TASK = Task(
    "multi_turn_base_0",
    (),
    answer=[["touch(file_name='b.txt')", "ls()"], [], ["cat('a.txt')"]],
    info={
        "category": "multi_turn_base",
        "involved_classes": ["GorillaFileSystem"],
        "initial_config": {"GorillaFileSystem": {"root": ROOT}},
    },
)
TOUCH, LIST = ToolCall("touch", {"file_name": "b.txt"}), ToolCall("ls", {})
READ = ToolCall("cat", {"file_name": "a.txt"})


def output(*turns: list[list[ToolCall]]) -> Output:
    return Output(turns=tuple(tuple(Output(given_calls=tuple(step)) for step in turn) for turn in turns))


@pytest.mark.parametrize(
    "turns, fault",
    [
        (([[TOUCH, LIST]], [], [[READ]]), None),
        (([[TOUCH], [LIST]], [[LIST]], [[LIST], [READ]]), None),
        (([[TOUCH, LIST, READ]], [], [[LIST]]), None),  # read before, so it need not be read again
        (([[TOUCH]], [], [[READ]]), "wrong_response"),
        (([[LIST]], [], [[READ]]), "wrong_state"),
        (([[TOUCH, LIST]], [], []), "empty_turn"),
        (([[TOUCH, LIST]], []), "wrong_turns"),
        (([[TOUCH, LIST]], [], [[ToolCall("_load_scenario", {"scenario": {}})]]), "wrong_response"),
        (([[TOUCH, LIST]], [], [[ToolCall("no_such_tool", {})]]), "wrong_response"),
    ],
)
def test_invented_turns(turns, fault):
    official_module("constants.executable_backend_config")
    found = check_turns(TASK, output(*turns))
    assert (found and found.kind) == fault


def test_what_takes_too_long_is_wrong():
    official_module("constants.executable_backend_config")
    endless = Task(
        "multi_turn_base_1",
        (),
        answer=[["power(base=2, exponent=3)"]],
        info={**TASK.info, "involved_classes": ["MathAPI"], "initial_config": {}},
    )
    call = ToolCall("power", {"base": 10**6, "exponent": 10**9})
    assert check_turns(endless, output([[call]]), seconds=0.5).kind == "timeout"


def test_without_the_package_the_user_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "bfcl_eval", None)
    for name in [name for name in sys.modules if name.startswith("bfcl_eval.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ToolwiseError, match="need the package bfcl-eval"):
        check_turns(TASK, output([[TOUCH]], [], [[READ]]))


def spoil(turns: list[list[ToolCall]], names: list[str], rng: random.Random) -> None:
    index = rng.randrange(len(turns))
    turn = turns[index]
    match rng.randrange(7):
        case 0 if turn:
            turn.pop(rng.randrange(len(turn)))
        case 1 if turn:
            turn.append(rng.choice(turn))
        case 2:
            rng.shuffle(turn)
        case 3 if turn:
            place = rng.randrange(len(turn))
            arguments = dict(turn[place].arguments)
            if arguments:
                key = rng.choice(list(arguments))
                arguments[key] = rng.choice([f"{arguments[key]}x", 1, None, [arguments[key]]])
                turn[place] = ToolCall(turn[place].name, arguments)
        case 4:
            turn.insert(0, ToolCall(rng.choice(names), {}))
        case 5 if turn:
            turn[rng.randrange(len(turn))] = ToolCall("no_such_tool", {})
        case _:
            turns[index] = []


def reference_turns(task: Task) -> list[list[ToolCall]]:
    names = {each["name"]: list(each["parameters"]["properties"]) for each in task.info["functions"]}

    def call(text: str) -> ToolCall:
        node = ast.parse(text, mode="eval").body
        positional = dict(zip(names[node.func.id], map(ast.literal_eval, node.args), strict=False))
        named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
        return ToolCall(node.func.id, positional | named)

    return [[call(text) for text in turn] for turn in task.answer]


@pytest.mark.data
@pytest.mark.parametrize("category", ["multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param"])
def test_published_turns(category, shared_dir):
    official = official_module("eval_checker.multi_turn_eval.multi_turn_checker").multi_turn_checker
    folder = shared_dir / "data" / "bfcl_v4"
    if not (folder / f"BFCL_v4_{category}.json").is_file():
        pytest.skip("BFCL is not among the data")
    seen = set()
    for task in read_bfcl(folder, [category])[::5]:
        for variant in range(3):
            rng = random.Random(f"{task.id} {variant}")
            turns = reference_turns(task)
            names = [each["name"] for each in task.info["functions"]]
            for _ in range(variant):
                spoil(turns, names, rng)
            steps = [[[call] for call in turn] if variant else [turn] * bool(turn) for turn in turns]
            written = [
                [
                    [
                        f"{c.name}({', '.join(f'{key}={value!r}' for key, value in c.arguments.items())})"
                        for c in s
                    ]
                    for s in turn
                ]
                for turn in steps
            ]
            entry = {key: task.info[key] for key in ("initial_config", "involved_classes")} | {"id": task.id}
            # The official program keeps its instances by the name of the model.
            name = f"model{variant}"
            expected = official(
                written, task.answer, copy.deepcopy(json.loads(json.dumps(entry))), category, name
            )
            found = check_turns(task, output(*steps))
            assert (found is None) is expected["valid"], (task.id, variant, found, expected)
            seen.add(expected["valid"])
    assert seen == {True, False}
