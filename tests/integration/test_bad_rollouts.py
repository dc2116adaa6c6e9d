"""Tools and models that misbehave: every mishap is a typed event, and a step of them is learned from."""

from __future__ import annotations

import asyncio

import pytest

from toolwise.core import ErrorKind, StopReason, Task, ToolwiseError
from toolwise.dialects import HermesDialect
from toolwise.learning import Learner, LearnerConfig, experience_metrics, score
from toolwise.learning.losses import PPOLossConfig
from toolwise.rollout import Collector, CollectorConfig, Limits
from toolwise.sampling import FinishReason, Sample
from toolwise.systems import load_model
from toolwise.tools import Tool, Toolbox

END = "<|im_end|>"


class ScriptedSampler:
    """Test double of a sampler: says given texts, one a turn, the last one over and over."""

    def __init__(self, tokenizer, turns: list[str], context_length: int = 4096) -> None:
        self.turns = [tuple(tokenizer.encode(turn)) for turn in turns]
        self.context_length = context_length
        self.prompts: list[tuple[int, ...]] = []

    async def generate(self, prompt_ids, params) -> Sample:
        place = sum(len(prompt) < len(prompt_ids) for prompt in set(self.prompts))
        self.prompts.append(tuple(prompt_ids))
        whole = self.turns[min(place, len(self.turns) - 1)]
        room = self.context_length - len(prompt_ids)
        said = whole[: min(params.max_tokens, room)]
        reason = FinishReason.STOP
        if len(said) < len(whole):
            reason = FinishReason.CONTEXT if len(said) == room else FinishReason.LENGTH
        return Sample(said, (-1.0,) * len(said), reason)


def call(name: str, arguments: str = "{}") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>{END}'


def breaks() -> str:
    """Break."""
    raise RuntimeError("the disk is on fire")


async def hangs() -> str:
    """Never come back."""
    await asyncio.sleep(3600)
    return ""


def floods() -> str:
    """Give ten million characters."""
    return "x" * 10_000_000


TOOLS = [Tool.from_function(breaks), Tool.from_function(hangs, time_limit=0.1), Tool.from_function(floods)]
TASK = Task("t", ({"role": "user", "content": "Go."},), ("breaks", "hangs", "floods"), "done")


@pytest.fixture(scope="module")
def policy(model_folder):
    return load_model(str(model_folder))


def play(policy, turns: list[str], *, context: int = 4096, samples: int = 1, **limits):
    tokenizer = policy[1]
    sampler = ScriptedSampler(tokenizer, turns, context)
    config = CollectorConfig(limits=Limits(**{"max_turns": 3, "max_turn_tokens": 100} | limits))
    collector = Collector(sampler, HermesDialect(tokenizer), Toolbox(TOOLS), config)
    (tree,) = collector.collect([TASK], run=("test",), samples=samples)
    return tree.rollouts()[0]


@pytest.mark.parametrize(
    "tool, kind, told",
    [
        ("breaks", ErrorKind.TOOL_FAILURE, "the disk is on fire"),
        ("hangs", ErrorKind.TIMEOUT, "0.1"),
        ("absent", ErrorKind.UNKNOWN_TOOL, "absent"),
    ],
)
def test_a_failing_tool_is_told_to_the_model_and_the_rollout_goes_on(policy, tool, kind, told):
    rollout = play(policy, [call(tool), f"done{END}"])
    assert [turn.role for turn in rollout.turns] == ["prompt", "assistant", "tool", "assistant"]
    (result,) = rollout.turns[2].results
    assert result.error is kind
    assert told in rollout.turns[2].text
    assert (rollout.answer, rollout.stop) == ("done", StopReason.ANSWERED)


def test_ten_megabytes_are_cut_before_the_model_reads_them(policy):
    rollout = play(policy, [call("floods"), f"done{END}"], context=8192)
    assert 1000 < len(rollout.turns[2].text) < 5000
    assert rollout.answer == "done"
    # Where even that does not fit, the rollout ends there and says so.
    rollout = play(policy, [call("floods"), f"done{END}"], context=700)
    assert rollout.stop is StopReason.CONTEXT
    assert rollout.answer is None
    assert len(rollout.token_ids) < 700
    assert rollout.turns[-1].error is ErrorKind.TRUNCATED
    assert "xxxx" in rollout.turns[-1].text
    assert [turn.role for turn in rollout.turns] == ["prompt", "assistant", "tool"]


def test_a_broken_call_is_typed_and_the_model_reads_why(policy):
    rollout = play(policy, [f'<tool_call>\n{{"name": \n</tool_call>{END}', f"done{END}"])
    assert rollout.turns[1].error is ErrorKind.MALFORMED_CALL
    assert rollout.turns[2].results[0].error is ErrorKind.MALFORMED_CALL
    assert "cannot be read" in rollout.turns[2].text
    assert (rollout.calls, rollout.answer) == (1, "done")


def test_endless_calls_end_at_the_limit_of_turns(policy):
    rollout = play(policy, [call("breaks")], max_turns=3)
    assert rollout.stop is StopReason.MAX_TURNS
    assert [turn.role for turn in rollout.turns].count("assistant") == 3
    assert rollout.answer is None


@pytest.mark.parametrize("said", [END, f"   {END}", f"<think>\nhm\n</think>{END}"])
def test_a_model_that_says_nothing_has_no_answer(policy, said):
    rollout = play(policy, [said])
    assert (rollout.stop, rollout.answer, rollout.calls) == (StopReason.ANSWERED, None, 0)


def test_a_model_that_never_ends_is_cut(policy):
    rollout = play(policy, ["on and on " * 100], max_turn_tokens=20)
    assert rollout.stop is StopReason.MAX_TOKENS
    assert rollout.turns[1].error is ErrorKind.TRUNCATED
    assert rollout.answer is None


def test_a_rollout_that_takes_too_long_is_cut_and_keeps_what_it_had(policy):
    slow = Tool.from_function(hangs, time_limit=60.0)
    tokenizer = policy[1]
    config = CollectorConfig(limits=Limits(seconds=0.2))
    sampler = ScriptedSampler(tokenizer, [call("hangs")])
    collector = Collector(sampler, HermesDialect(tokenizer), Toolbox([slow]), config)
    task = Task("t", TASK.prompt, ("hangs",))
    (tree,) = collector.collect([task], run=("test",), samples=1)
    (rollout,) = tree.rollouts()
    assert rollout.stop is StopReason.DEADLINE
    assert rollout.turns[1].calls[0].name == "hangs"


def test_a_step_of_nothing_but_mishaps_is_scored_and_learned_from(policy):
    from toolwise.advantages import RLOOConfig, build_advantage
    from toolwise.core import Reward, RolloutTree

    model, tokenizer = policy
    dialect = HermesDialect(tokenizer)
    config = CollectorConfig(limits=Limits(max_turns=2, max_turn_tokens=80))
    trees: list[RolloutTree] = []
    for said in ([END], [call("floods")], [f"<tool_call>\nno{END}", f"done{END}"], ["on and on " * 100]):
        collector = Collector(ScriptedSampler(tokenizer, said, 1024), dialect, Toolbox(TOOLS), config)
        trees += collector.collect([TASK], run=("test",), samples=2)

    def reward(task, rollouts):
        return [Reward(float(place % 2)) for place, _ in enumerate(rollouts)]

    experience = score(trees, reward, build_advantage(RLOOConfig()))
    metrics = experience_metrics(experience)
    assert metrics["clipped_share"] == 0.5
    assert metrics["parse_error_share"] > 0
    learned = Learner(model, LearnerConfig()).step(experience.token_trees(), PPOLossConfig())
    assert learned["grad_norm"] > 0


def test_a_prompt_that_leaves_no_room_is_refused_by_the_rollout_as_well(policy):
    with pytest.raises(ToolwiseError, match=r"task 't'.*context of the model 10"):
        play(policy, [END], context=10)
