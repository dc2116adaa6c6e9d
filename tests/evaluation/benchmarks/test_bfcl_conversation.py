"""Playing BFCL's items with several user turns: against its own program, with a scripted model."""

from __future__ import annotations

import asyncio
import copy
import json
import random

import pytest
from bfcl_official import official_module
from test_bfcl_turns import reference_turns

from toolwise.core import ErrorKind, RolloutEnd, RolloutTree, StopReason, Task, ToolCall, Turn
from toolwise.data.benchmarks import read_bfcl
from toolwise.evaluation.benchmarks import check_turns, play_bfcl
from toolwise.evaluation.benchmarks.bfcl_backend import BackendProcess
from toolwise.rollout import CollectorConfig, Player
from toolwise.sampling import ContextLengthError

DOCUMENTS = [
    {
        "name": name,
        "description": name,
        "parameters": {"type": "dict", "properties": {"file_name": {"type": "string", "description": "f"}}},
    }
    for name in ("ls", "touch", "cat")
]


def spec(document):
    return {"type": "function", "function": document}


TASK = Task(
    "multi_turn_miss_func_0",
    ({"role": "user", "content": "Make b.txt."},),
    tuple(spec(each) for each in DOCUMENTS[:2]),
    answer=[["touch(file_name='b.txt')"], ["cat('a.txt')"]],
    info={
        "category": "multi_turn_miss_func",
        "involved_classes": ["GorillaFileSystem"],
        "initial_config": {
            "GorillaFileSystem": {
                "root": {
                    "workspace": {
                        "type": "directory",
                        "contents": {"a.txt": {"type": "file", "content": "one"}},
                    }
                }
            }
        },
        "turns": [[{"role": "user", "content": "Make b.txt."}], []],
        "added_tools": {"1": [spec(DOCUMENTS[2])]},
        "functions": DOCUMENTS,
    },
)
TOUCH, READ = ToolCall("touch", {"file_name": "b.txt"}), ToolCall("cat", {"file_name": "a.txt"})
BROKEN = ToolCall("touch", {}, ErrorKind.MALFORMED_CALL, "no JSON")


class ScriptedModel(Player):
    """A test double of a model: says what is written down, one reply after the other, then only "done"."""

    def __init__(self, *replies):
        super().__init__(CollectorConfig())
        self.replies, self.seen, self.keys = list(replies), [], []

    async def play(self, task, *, run, samples=None, params=None):
        self.seen.append((task.prompt, [tool["function"]["name"] for tool in task.tools]))
        self.keys.append(tuple(run))
        reply = self.replies.pop(0) if self.replies else "done"
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, str):
            turn = Turn("assistant", (), reply, sampled=True, answer=reply)
        else:
            error = ErrorKind.MALFORMED_CALL if any(call.error for call in reply) else None
            turn = Turn(
                "assistant", (), "written", sampled=True, calls=tuple(reply), error=error, words="Well."
            )
        end = RolloutEnd(0, 0, task.id, StopReason.ANSWERED)
        return RolloutTree.from_paths(task, Turn("prompt", ()), [[turn]], [end])


def play(model, task=TASK):
    official_module("constants.executable_backend_config")
    return asyncio.run(play_bfcl(task, model, run=("benchmark", 7)))


def test_calls_are_run_and_what_they_gave_is_shown():
    model = ScriptedModel([TOUCH], "It is there.", [READ], "one")
    output = play(model)
    assert check_turns(TASK, output) is None
    assert output.tool_calls == 2
    assert model.keys == [("benchmark", 7, turn, step) for turn in (0, 1) for step in (0, 1)]
    assert [names for _, names in model.seen] == [["ls", "touch"]] * 2 + [["ls", "touch", "cat"]] * 2
    roles = [message["role"] for message in model.seen[-1][0]]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"]
    messages = model.seen[-1][0]
    assert json.loads(messages[-1]["content"]) == {"file_content": "one"}
    assert messages[-1]["tool_call_id"] == messages[-2]["tool_calls"][0]["id"]
    assert (messages[-2]["content"], messages[3]["content"]) == ("Well.", "It is there.")


def test_a_call_that_cannot_be_read_ends_the_user_turn():
    model = ScriptedModel([BROKEN], [READ], "one")
    output = play(model)
    assert [len(steps) for steps in output.turns] == [1, 2]
    assert check_turns(TASK, output).kind == "empty_turn"
    assert model.seen[1][0][1] == {"role": "assistant", "content": "written"}


@pytest.mark.parametrize("steps, turns", [(20, 2), (21, 1)])
def test_too_many_steps_end_the_item(steps, turns):
    output = play(ScriptedModel(*([TOUCH] for _ in range(steps)), "there", [READ]))
    assert len(output.turns) == turns
    assert (check_turns(TASK, output) is None) is (turns == 2)


def test_what_outgrows_the_context_is_wrong():
    output = play(ScriptedModel([TOUCH], "there", [READ], ContextLengthError("too long")))
    assert len(output.turns) == 1  # though both calls that count were made
    assert check_turns(TASK, output).kind == "wrong_turns"
    assert play(ScriptedModel(ContextLengthError("too long"))).turns == ()


def test_a_tool_that_does_not_end_is_stopped():
    official_module("constants.executable_backend_config")
    task = Task("t", (), info={**TASK.info, "involved_classes": ["MathAPI"]})
    with BackendProcess(task) as backend:
        assert json.loads(backend.run([("add", (), {"a": 1, "b": 2})])[0]) == {"result": 3}
        assert backend.run([("power", (), {"base": 10**6, "exponent": 10**9})], seconds=0.5) is None
        assert backend.run([("add", (), {"a": 1, "b": 2})]) is None


def official_run(task, replies):
    """What BFCL's own loop shows to a model that replies so, and what it records of the replies."""
    base = official_module("model_handler.base_handler").BaseHandler
    as_call = official_module("model_handler.utils").convert_to_function_call

    class Scripted(base):
        def __init__(self):
            self.model_name_underline_replaced = f"scripted_{random.random()}"
            self.is_fc_model, self.seen, self.replies = True, [], list(replies)

        def decode_ast(self, *_):
            raise NotImplementedError

        def decode_execute(self, result, has_tool_call_tag):
            return as_call(result)

        def _query_FC(self, data):
            self.seen.append((copy.deepcopy(data["message"]), list(data["tools"])))
            return self.replies.pop(0) if self.replies else "done", 0.0

        def _pre_query_processing_FC(self, data, entry):
            return {"message": []}

        def _compile_tools(self, data, entry):
            return data | {"tools": [each["name"] for each in entry["function"]]}

        def _parse_query_response_FC(self, reply):
            written = reply
            if not isinstance(reply, str):
                written = [{c.name: "{" if c.error else json.dumps(dict(c.arguments))} for c in reply]
            return {"model_responses": written, "input_token": 0, "output_token": 0}

        def add_first_turn_message_FC(self, data, messages):
            data["message"] += messages
            return data

        _add_next_turn_user_message_FC = add_first_turn_message_FC

        def _add_assistant_message_FC(self, data, reply):
            data["message"].append({"role": "assistant", "said": reply["model_responses"]})
            return data

        def _add_execution_results_FC(self, data, results, reply):
            data["message"] += [{"role": "tool", "content": result} for result in results]
            return data

    hidden = {tool["function"]["name"] for tools in task.info["added_tools"].values() for tool in tools}
    documents = {each["name"]: each for each in task.info["functions"]}
    entry = {key: task.info[key] for key in ("initial_config", "involved_classes")} | {
        "id": task.id,
        "question": copy.deepcopy(task.info["turns"]),
        "function": [each for name, each in documents.items() if name not in hidden],
        "missed_function": {
            turn: [documents[tool["function"]["name"]] for tool in tools]
            for turn, tools in task.info["added_tools"].items()
        },
    }
    handler = Scripted()
    responses, _ = handler.inference_multi_turn_FC(entry, False, True)
    return handler.seen, responses


def replies_for(task, rng):
    """Replies of a model that knows the reference and errs now and then."""
    replies = []
    for calls in reference_turns(task):
        calls, chunks = list(calls), []
        while calls:
            size = rng.randint(1, 2)
            chunks.append(calls[:size])
            calls = calls[size:]
        match rng.randrange(6):
            case 0 if chunks:
                chunks.insert(rng.randrange(len(chunks)), [ToolCall("no_such_tool", {"a": [1, "'"]})])
            case 1 if chunks:
                chunks[rng.randrange(len(chunks))] = [BROKEN]
            case 2 if chunks:
                chunks = [rng.choice(chunks)] * 22
            case 3 if chunks:
                call = chunks[0][0]
                chunks[0] = [ToolCall(call.name, {**call.arguments, "extra": 'a "quoted" word\n'})]
        replies += [*chunks, f"So far {len(replies)}."]
    return replies


@pytest.mark.data
@pytest.mark.parametrize("category", ["multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param"])
def test_conversations_are_those_of_the_published_program(category, shared_dir, capsys):
    official_module("model_handler.base_handler")
    folder = shared_dir / "data" / "bfcl_v4"
    if not (folder / f"BFCL_v4_{category}.json").is_file():
        pytest.skip("BFCL is not among the data")
    lengths = set()
    for task in read_bfcl(folder, [category])[::8]:
        replies = replies_for(task, random.Random(task.id))
        model = ScriptedModel(*replies)
        output = play(model, task)
        seen, responses = official_run(task, replies)
        assert [names for _, names in model.seen] == [names for _, names in seen]
        for ours, theirs in zip((each for each, _ in model.seen), (each for each, _ in seen), strict=True):
            assert [message["role"] for message in ours] == [message["role"] for message in theirs]
            for mine, other in zip(ours, theirs, strict=True):
                if mine["role"] != "assistant":
                    assert mine["content"] == other["content"]
        assert [len(turn) for turn in output.turns] == [len(turn) for turn in responses]
        lengths.add(len(output.turns) == len(task.answer))
    assert lengths == {True, False}
