"""The agent loop of a model behind an endpoint, against a server process on loopback."""

from __future__ import annotations

import asyncio

import pytest

from toolwise.core import ErrorKind, StopReason, Task, ToolwiseError
from toolwise.rewards import ExactMatchReward
from toolwise.rollout import ChatCollector, CollectorConfig, Limits, chat_roll_out
from toolwise.sampling import ChatConfig, ChatParams, EndpointChat, SamplingParams
from toolwise.tools import Tool, Toolbox, calculator

QUESTION = "What is 6 * 7?"
SUM = ["calculator", '{"expression": "6 * 7"}']


async def hang():
    """Never come back."""
    await asyncio.sleep(3600)


def huge():
    """Say a lot."""
    return "x " * 1000


def toolbox():
    return Toolbox([calculator(), Tool.from_function(hang, name="slow"), Tool.from_function(huge)])


TASK = Task("t", ({"role": "user", "content": QUESTION},), ("calculator", "slow", "huge"), answer="42")


async def play(server, samples=1, task=TASK, **limits):
    async with EndpointChat(ChatConfig(base_url=server.url, model="double", retries=0)) as client:
        return await chat_roll_out(
            task,
            model=client,
            toolbox=toolbox(),
            params=ChatParams(),
            limits=Limits(**limits),
            samples=samples,
            run=(7, "evaluate", 0),
        )


async def test_a_call_its_result_and_the_answer(frontier):
    server = frontier(calls={QUESTION: [SUM]}, thought="use the tool")
    tree = await play(server, samples=2)
    assert [rollout.sample for rollout in tree.rollouts()] == [0, 1]
    rollout = tree.rollouts()[0]
    assert (rollout.answer, rollout.calls, rollout.stop) == ("42", 1, StopReason.ANSWERED)
    prompt, call, result, last = rollout.turns
    assert [turn.role for turn in rollout.turns] == ["prompt", "assistant", "tool", "assistant"]
    assert QUESTION in prompt.text
    assert "calculator, slow, huge" in prompt.text
    assert (call.calls[0].name, call.calls[0].arguments) == ("calculator", {"expression": "6 * 7"})
    assert (call.thought, call.error, call.answer) == ("use the tool", None, None)
    assert '{"name": "calculator", "arguments": {"expression": "6 * 7"}}' in call.text
    assert (result.results[0].content, result.results[0].error) == ("42", None)
    assert "42" in last.text
    assert not any(turn.token_ids or turn.logprobs for turn in rollout.turns)
    assert tree.from_record(tree.to_record()) == tree
    (reward, _) = ExactMatchReward()(TASK, tree.rollouts())
    assert reward.parts == {"correct": 1.0, "format": 1.0}
    # The protocol's own tools were on offer, and the result was sent under the id of its call.
    requests = server.requests
    assert {tool["function"]["name"] for tool in requests[0]["body"]["tools"]} == {
        "calculator",
        "slow",
        "huge",
    }
    second = next(r["body"]["messages"] for r in requests if len(r["body"]["messages"]) == 3)
    assert second[1]["tool_calls"][0]["id"] == second[2]["tool_call_id"]
    assert second[2]["content"] == "42"


async def test_seeds_depend_on_run_task_sample_and_turn_only(frontier):
    script = {"calls": {QUESTION: [SUM]}}
    seeds = []
    for samples in (3, 2):
        server = frontier(**script)
        await play(server, samples=samples)
        seeds.append({request["body"]["seed"] for request in server.requests})
    assert len(seeds[0]) == 6
    assert seeds[1] < seeds[0]


@pytest.mark.parametrize(
    "call, kind",
    [
        (["calculator", '{"expression": 6'], ErrorKind.MALFORMED_CALL),
        (["calculator", "[6]"], ErrorKind.MALFORMED_CALL),
        (["calculator", '{"expression": "6"} {}'], ErrorKind.MALFORMED_CALL),
        (["", "{}"], ErrorKind.MALFORMED_CALL),
        (["oracle", "{}"], ErrorKind.UNKNOWN_TOOL),
        (["calculator", ""], ErrorKind.BAD_ARGUMENTS),
        (["calculator", '{"expression": "1 / 0"}'], ErrorKind.TOOL_FAILURE),
    ],
)
async def test_bad_calls_are_typed_and_the_model_reads_why(frontier, call, kind):
    server = frontier(calls={QUESTION: [call, SUM]})
    rollout = (await play(server)).rollouts()[0]
    results = rollout.turns[2].results
    assert [result.error for result in results] == [kind, None]
    assert (rollout.turns[1].error is ErrorKind.MALFORMED_CALL) == (kind is ErrorKind.MALFORMED_CALL)
    assert rollout.calls == 2
    assert rollout.stop is StopReason.ANSWERED
    sent = server.requests[1]["body"]["messages"]
    assert sent[2]["content"].startswith("Error:")
    # What is sent back can be read by any server, whatever the model wrote.
    assert all(call["function"]["arguments"].startswith("{") for call in sent[1]["tool_calls"])
    assert len({call["id"] for call in sent[1]["tool_calls"]}) == 2


async def test_limits_cut_and_say_so(frontier):
    many = frontier(calls={QUESTION: [SUM]})
    rollout = (await play(many, max_turns=1)).rollouts()[0]
    assert (rollout.stop, rollout.answer, rollout.calls) == (StopReason.MAX_TURNS, None, 1)
    long = frontier(answers={QUESTION: "forty two and more"})
    rollout = (await play(long, max_turn_tokens=2)).rollouts()[0]
    assert (rollout.stop, rollout.answer) == (StopReason.MAX_TOKENS, None)
    assert rollout.turns[-1].error is ErrorKind.TRUNCATED
    assert rollout.turns[-1].text == "forty two"
    hanging = frontier(calls={QUESTION: [["slow", "{}"]]})
    rollout = (await play(hanging, seconds=4.0)).rollouts()[0]
    assert rollout.stop is StopReason.DEADLINE
    assert rollout.turns[-1].calls[0].name == "slow"


async def test_a_conversation_that_outgrows_the_model_is_cut_but_a_prompt_is_refused(frontier):
    server = frontier(calls={QUESTION: [["huge", "{}"]]}, window=1000)
    rollout = (await play(server)).rollouts()[0]
    assert rollout.stop is StopReason.CONTEXT
    assert rollout.turns[-1].error is ErrorKind.TRUNCATED
    assert rollout.turns[-1].results[0].name == "huge"
    with pytest.raises(ToolwiseError, match="task 't'"):
        await play(frontier(window=5))


async def test_a_server_that_is_down_ends_the_run(frontier):
    server = frontier()
    server.stop()
    with pytest.raises(ToolwiseError, match="no usable reply"):
        await play(server)


@pytest.mark.parametrize(
    "content, thought, answer",
    [
        ("<think>\nhm\n</think>\n\n42", "hm", "42"),
        ("hm</think> 42", "hm", "42"),
        ("<think>never ends", "never ends", None),
        ("  ", "", None),
    ],
)
async def test_thoughts_in_the_content_are_thoughts(frontier, content, thought, answer):
    rollout = (await play(frontier(answers={QUESTION: content}))).rollouts()[0]
    assert (rollout.turns[-1].thought, rollout.answer) == (thought, answer)


def test_a_collector_keeps_the_order_of_tasks_and_plays_few_at_once(frontier):
    server = frontier(answers={str(number): f"answer {number}" for number in range(12)}, always_slow=0.02)
    tasks = [Task(str(number), ({"role": "user", "content": str(number)},)) for number in range(12)]
    client = EndpointChat(ChatConfig(base_url=server.url, model="double"))
    collector = ChatCollector(client, Toolbox(), CollectorConfig(group_size=1), seed=3, at_once=2)
    for _ in range(2):  # each in an event loop of its own
        trees = collector.collect(tasks, run=("x",), params=SamplingParams(temperature=0.5, top_p=0.9))
        assert [tree.rollouts()[0].answer for tree in trees] == [f"answer {n}" for n in range(12)]
    log = server.log()
    assert log["most_at_once"] <= 2
    bodies = [request["body"] for request in log["requests"]]
    assert {(body["temperature"], body["top_p"]) for body in bodies} == {(0.5, 0.9)}
    with pytest.raises(ToolwiseError, match="top_k"):
        ChatCollector(client, Toolbox(), CollectorConfig(top_k=5))
