"""The agent loop, with a scripted sampler: what is said, run, shown, cut and recorded."""

import asyncio
from functools import cache

import pytest

from toolwise.core import ErrorKind, StopReason, Task, ToolwiseError
from toolwise.dialects import HermesDialect
from toolwise.rollout import Collector, CollectorConfig, Limits, demonstration_trees, roll_out
from toolwise.sampling import FinishReason, Sample, SamplingParams
from toolwise.tools import Tool, Toolbox, calculator
from toolwise.worlds.almanac import WorldSize, build_world
from toolwise.worlds.almanac.base import train_tokenizer

CALL = '<tool_call>\n{{"name": "{}", "arguments": {}}}\n</tool_call><|im_end|>'
SUM = CALL.format("calculator", '{"expression": "6 * 7"}')
TASK = Task("t", ({"role": "user", "content": "What is 6 * 7?"},), ("calculator", "slow", "huge", "broken"))


@cache
def dialect():
    size = WorldSize(known_people=4, unknown_people=4, towns=10, prizes=4, dishes=4)
    return HermesDialect(train_tokenizer(build_world(0, size)))


def encode(text):
    return tuple(dialect()._template.encode(text))


class ScriptedSampler:
    """A test double: says the lines of a script, one a turn, to every rollout."""

    def __init__(self, *lines, context_length=400):
        self.lines, self.context_length, self.prompts = lines, context_length, []

    async def generate(self, prompt_ids, params):
        self.prompts.append(tuple(prompt_ids))
        said = sum(1 for line in self.lines if set(encode(line)) and self._contains(prompt_ids, encode(line)))
        ids = encode(self.lines[min(said, len(self.lines) - 1)])[: params.max_tokens]
        ended = ids and ids[-1] in params.stop_token_ids
        return Sample(ids, (-0.5,) * len(ids), FinishReason.STOP if ended else FinishReason.LENGTH)

    @staticmethod
    def _contains(prompt, line):
        prompt = tuple(prompt)
        return any(prompt[i : i + len(line)] == line for i in range(len(prompt) - len(line) + 1))


async def hang():
    """Never come back."""
    await asyncio.sleep(3600)


def huge():
    """Say a lot."""
    return "x" * 10_000_000


def broken():
    """Fail."""
    raise ValueError("out of order")


def toolbox():
    return Toolbox(
        [
            calculator(),
            Tool.from_function(hang, name="slow", time_limit=0.05),
            Tool.from_function(huge),
            Tool.from_function(broken),
        ]
    )


def play(*lines, samples=1, context_length=400, **limits):
    sampler = ScriptedSampler(*lines, context_length=context_length)
    tree = asyncio.run(
        roll_out(
            TASK,
            sampler=sampler,
            dialect=dialect(),
            toolbox=toolbox(),
            params=SamplingParams(),
            limits=Limits(**limits),
            samples=samples,
        )
    )
    return tree.rollouts()[0], sampler


def test_a_call_is_run_and_its_result_read():
    rollout, sampler = play(SUM, "Answer: 42<|im_end|>")
    prompt, call, result, answer = rollout.turns
    assert [turn.sampled for turn in rollout.turns] == [False, True, False, True]
    assert call.calls[0].arguments == {"expression": "6 * 7"}
    assert result.results[0].content == "42"
    assert answer.answer == "Answer: 42"
    assert rollout.stop is StopReason.ANSWERED
    assert call.token_ids == encode(SUM)
    assert result.token_ids == tuple(dialect().render_observation(result.results, closed=True))
    # What the policy was shown the second time is exactly what is recorded.
    assert sampler.prompts[1] == prompt.token_ids + call.token_ids + result.token_ids


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (CALL.format("slow", "{}"), ErrorKind.TIMEOUT),
        (CALL.format("broken", "{}"), ErrorKind.TOOL_FAILURE),
        (CALL.format("nobody", "{}"), ErrorKind.UNKNOWN_TOOL),
        (CALL.format("calculator", '{"sum": 1}'), ErrorKind.BAD_ARGUMENTS),
        ("<tool_call>\nnot json\n</tool_call><|im_end|>", ErrorKind.MALFORMED_CALL),
    ],
)
def test_what_goes_wrong_is_typed_and_the_rollout_goes_on(line, kind):
    rollout, _ = play(line, "Answer: 1<|im_end|>")
    assert rollout.turns[2].results[0].error is kind
    assert rollout.stop is StopReason.ANSWERED


def test_ten_megabytes_of_output_are_cut_and_said_to_be():
    rollout, _ = play(CALL.format("huge", "{}"), "Answer: 1<|im_end|>", context_length=9000)
    assert len(rollout.turns[2].results[0].content) < 5000
    assert rollout.stop is StopReason.ANSWERED


def test_results_that_do_not_fit_end_the_rollout_and_are_kept_for_people():
    rollout, _ = play(CALL.format("huge", "{}"), "Answer: 1<|im_end|>", context_length=300)
    assert rollout.stop is StopReason.CONTEXT
    assert rollout.turns[-1].token_ids == ()
    assert rollout.turns[-1].results[0].content
    assert len(rollout.token_ids) <= 300


def test_endless_calls_end_at_the_turn_limit_and_the_last_is_not_run():
    rollout, _ = play(SUM, SUM, SUM, SUM, max_turns=2)
    assert rollout.stop is StopReason.MAX_TURNS
    assert [turn.role for turn in rollout.turns] == ["prompt", "assistant", "tool", "assistant"]
    assert rollout.calls == 2


def test_a_cut_turn_has_no_answer():
    rollout, _ = play("Answer: a very long story that does not end", max_turn_tokens=5)
    assert (rollout.stop, rollout.answer) == (StopReason.MAX_TOKENS, None)
    assert rollout.turns[-1].error is ErrorKind.TRUNCATED


def test_saying_nothing_is_an_answer_of_nothing():
    rollout, _ = play("<|im_end|>")
    assert (rollout.stop, rollout.answer) == (StopReason.ANSWERED, None)


def test_a_deadline_cuts_the_whole_rollout():
    slow = Toolbox([Tool.from_function(hang, name="slow", time_limit=60)])
    tree = asyncio.run(
        roll_out(
            TASK.__class__("t", TASK.prompt, ("slow",)),
            sampler=ScriptedSampler(CALL.format("slow", "{}")),
            dialect=dialect(),
            toolbox=slow,
            params=SamplingParams(),
            limits=Limits(seconds=0.1),
        )
    )
    assert tree.rollouts()[0].stop is StopReason.DEADLINE


def test_a_prompt_longer_than_the_context_is_refused_by_name():
    with pytest.raises(ToolwiseError, match=r"task 't'.*the context of the model 10"):
        play("x", context_length=10)


def test_each_task_comes_once_an_epoch_whatever_the_step():
    collector = Collector(None, None, None, CollectorConfig(tasks_per_step=4), seed=3)
    pool = [Task(str(number), TASK.prompt) for number in range(10)]
    steps = [[task.id for task in collector.batch(pool, step)] for step in range(5)]
    flat = [name for step in steps for name in step]
    assert sorted(flat[:10], key=int) == sorted(flat[10:], key=int) == [str(n) for n in range(10)]
    assert flat[:10] != flat[10:]
    assert [task.id for task in collector.batch(pool, 3)] == steps[3]


def test_demonstrations_have_the_tokens_of_rollouts():
    rollout, _ = play(SUM, "Answer: 42<|im_end|>")
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "6 * 7"}}}
    messages = [
        *TASK.prompt,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "calculator", "content": "42"},
        {"role": "assistant", "content": "Answer: 42"},
    ]
    specs = toolbox().specs(TASK.tools)
    (tree,) = demonstration_trees("d", messages, specs, dialect())
    assert tree.rollouts()[0].token_ids == rollout.token_ids
    more = [*messages, {"role": "user", "content": "Thanks."}, {"role": "assistant", "content": "Bye"}]
    assert len(demonstration_trees("d", more, specs, dialect())) == 2
    with pytest.raises(ToolwiseError, match="no assistant turn"):
        demonstration_trees("d", TASK.prompt, specs, dialect())
