"""Many rollouts at once: nobody waits for anybody, and nobody's tokens depend on the others."""

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import ErrorKind, RolloutTree, StopReason, Task
from toolwise.rollout import Collector, CollectorConfig, Limits, roll_out
from toolwise.sampling import EmbeddedSampler, FinishReason, Sample, SamplingParams
from toolwise.tools import Tool, Toolbox

GO = ({"role": "user", "content": "Go."},)


def called(name, arguments="{}"):
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


class ScriptedSampler:
    """A test double: asks a function of the prompt's text what to say next."""

    def __init__(self, tokenizer, say, context_length=2000):
        self.tokenizer, self.say, self.context_length = tokenizer, say, context_length

    async def generate(self, prompt_ids, params):
        said = self.say(self.tokenizer.decode(prompt_ids), params)
        ids = tuple(self.tokenizer.encode(said, add_special_tokens=False))
        return Sample(ids, tuple(-0.01 * i for i in range(len(ids))), FinishReason.STOP)


def echo(text: str) -> str:
    """Say it again.

    Args:
        text: What to say.
    """
    return f"echo {text}"


def gather(dialect, sampler, tools, tasks=(), samples=1, **limits):
    tasks = tasks or [Task("t", GO, tuple(tool.name for tool in tools))]
    config = CollectorConfig(limits=Limits(**limits))
    collector = Collector(sampler, dialect, Toolbox(tools), config, seed=1)
    return collector.collect(tasks, run=("test",), samples=samples)


def test_a_slow_tool_of_one_rollout_delays_no_other(hermes, tokenizer):
    """One rollout's call ends only when another rollout is over: with a barrier, neither would ever end."""
    over = asyncio.Event()

    async def wait() -> str:
        """Wait for the other rollout."""
        await over.wait()
        return "at last"

    first = Task("first", ({"role": "user", "content": "You wait."},), ("wait", "echo"))
    second = Task("second", ({"role": "user", "content": "You talk."},), ("wait", "echo"))

    def say(text, params):
        if "You wait" in text:
            return "Answer: waited<|im_end|>" if "at last" in text else called("wait") + "<|im_end|>"
        if text.count("<tool_call>") < 5:
            return called("echo", '{"text": "x"}') + "<|im_end|>"
        over.set()
        return "Answer: talked<|im_end|>"

    tools = [Tool.from_function(wait, time_limit=30), Tool.from_function(echo)]
    trees = gather(hermes, ScriptedSampler(tokenizer, say), tools, (first, second), max_turns=8, seconds=20)
    assert [tree.rollouts()[0].answer for tree in trees] == ["Answer: waited", "Answer: talked"]
    assert [tree.rollouts()[0].calls for tree in trees] == [1, 5]


def test_several_calls_of_a_turn_run_at_once_and_are_read_in_order(hermes, tokenizer):
    met = asyncio.Barrier(2)

    async def wait() -> str:
        """Wait for the other call."""
        await met.wait()
        return "met"

    lines = [called("wait"), called("echo", '{"text": "b"}'), called("wait")]
    turn = "\n".join(lines) + "<|im_end|>"

    def say(text, params):
        return "Answer: x<|im_end|>" if "met" in text else turn

    tools = [Tool.from_function(wait, time_limit=30), Tool.from_function(echo)]
    (tree,) = gather(hermes, ScriptedSampler(tokenizer, say), tools, seconds=20)
    (rollout,) = tree.rollouts()
    assert [result.content for result in rollout.turns[2].results] == ["met", "echo b", "met"]
    assert rollout.turns[2].text.index("met") < rollout.turns[2].text.index("echo b")
    assert rollout.calls == 3


def test_tools_of_one_rollout_remember_nothing_of_another(hermes, tokenizer):
    def count(session) -> str:
        """Count the calls."""
        state = session.state_of("count")
        state["calls"] = state.get("calls", 0) + 1
        return f"call number {state['calls']}"

    task = Task("t", GO, ("count",))

    def say(text, params):
        return "Answer: x<|im_end|>" if "number 2" in text else called("count") + "<|im_end|>"

    tools = [Tool.from_function(count, parameters={"type": "object", "properties": {}})]
    (tree,) = gather(hermes, ScriptedSampler(tokenizer, say), tools, (task,), samples=3)
    for rollout in tree.rollouts():
        assert [turn.results[0].content for turn in rollout.turns if turn.results] == [
            "call number 1",
            "call number 2",
        ]


def test_a_sample_is_the_same_whatever_the_size_of_its_group(hermes, model):
    def sampled(samples, neighbours=()):
        sampler = EmbeddedSampler(model, max_rows=5)
        limits = {"max_turns": 2, "max_turn_tokens": 12}
        tree, *_ = gather(hermes, sampler, [], (Task("t", GO), *neighbours), samples, **limits)
        return [rollout.token_ids for rollout in tree.rollouts()]

    eight = sampled(8)
    assert len(set(eight)) == 8
    assert sampled(3) == eight[:3]
    assert sampled(1) == eight[:1]
    assert sampled(3, [Task("other", GO)]) == eight[:3]


def test_other_seeds_steps_and_tasks_give_other_samples(hermes, model):
    def sampled(seed, step, name):
        config = CollectorConfig(limits=Limits(max_turns=1, max_turn_tokens=12))
        collector = Collector(EmbeddedSampler(model), hermes, Toolbox(), config, seed)
        (tree,) = collector.collect([Task(name, GO)], run=("train", step), samples=1)
        return tree.rollouts()[0].token_ids

    kinds = list(itertools.product((0, 1), (0, 1), ("t", "u")))
    assert len({sampled(*kind) for kind in kinds}) == len(kinds)


def test_the_tree_holds_what_was_read_and_marks_what_was_sampled(hermes, model):
    """Random words, calls among them: the tree's tokens are the prompt, then what was sampled and shown."""
    recorded = []

    class Recorder(EmbeddedSampler):
        async def generate(self, prompt_ids, params):
            sample = await super().generate(prompt_ids, params)
            if random.Random(params.seed).random() < 0.6:  # a random model writes no call by itself
                call = called("echo", '{"text": "y"}') + "<|im_end|>"
                ids = tuple(hermes._template.encode(call))
                sample = Sample(ids, (-1.0,) * len(ids), FinishReason.STOP)
            recorded.append((tuple(prompt_ids), sample))
            return sample

    (tree,) = gather(
        hermes, Recorder(model), [Tool.from_function(echo)], samples=12, max_turns=4, max_turn_tokens=9
    )
    assert {rollout.stop for rollout in tree.rollouts()} >= {StopReason.MAX_TOKENS, StopReason.MAX_TURNS}
    seen = []
    for rollout in tree.rollouts():
        context = rollout.turns[0].token_ids
        for turn in rollout.turns[1:]:
            assert turn.sampled == (turn.role == "assistant")
            assert turn.supervised_weights == (float(turn.sampled),) * len(turn.token_ids)
            if turn.sampled:
                seen.append((context, turn.token_ids, turn.logprobs))
            else:
                assert turn.logprobs == ()
                assert turn.token_ids == tuple(hermes.render_observation(turn.results, closed=True))
            context += turn.token_ids
    assert sorted(seen) == sorted((prompt, sample.token_ids, sample.logprobs) for prompt, sample in recorded)
    assert RolloutTree.from_record(tree.to_record()) == tree


def test_truncated_turns_have_no_answer_and_say_so(hermes, model):
    (tree,) = gather(hermes, EmbeddedSampler(model), [], samples=6, max_turn_tokens=3)
    for rollout in tree.rollouts():
        cut = rollout.stop is StopReason.MAX_TOKENS
        assert (rollout.turns[-1].error is ErrorKind.TRUNCATED) == cut
        assert rollout.answer is None or not cut
    assert any(rollout.stop is StopReason.MAX_TOKENS for rollout in tree.rollouts())


def test_a_model_at_the_end_of_its_context_is_cut_there(hermes, model):
    sampler = EmbeddedSampler(model)
    sampler.context_length = len(hermes.render_prompt(GO, ())) + 5
    (tree,) = gather(hermes, sampler, [], samples=6)
    stops = {rollout.stop for rollout in tree.rollouts()}
    assert StopReason.CONTEXT in stops
    assert all(len(rollout.token_ids) <= sampler.context_length for rollout in tree.rollouts())


def test_a_turn_that_a_stop_string_ended_gets_its_end_token_from_the_observation(hermes, tokenizer):
    """Such a turn has no end token yet; without one the model would read an open turn."""

    def say(text, params):
        return "Answer: x<|im_end|>" if "echo a" in text else called("echo", '{"text": "a"}')

    (tree,) = gather(hermes, ScriptedSampler(tokenizer, say), [Tool.from_function(echo)])
    (rollout,) = tree.rollouts()
    observation = rollout.turns[2]
    assert observation.token_ids == tuple(hermes.render_observation(observation.results, closed=False))
    assert observation.token_ids[0] == hermes.stop_token_ids[0]


def test_a_deadline_before_the_first_word_leaves_an_empty_turn(hermes):
    class Silent:
        context_length = 1000

        async def generate(self, prompt_ids, params):
            await asyncio.sleep(3600)

    (tree,) = gather(hermes, Silent(), [Tool.from_function(echo)], samples=2, seconds=0.05)
    for rollout in tree.rollouts():
        assert rollout.stop is StopReason.DEADLINE
        assert [turn.role for turn in rollout.turns] == ["prompt", "assistant"]
        assert rollout.turns[1].error is ErrorKind.TRUNCATED


@pytest.mark.parametrize("error", [TimeoutError("no reply"), RuntimeError("no memory")])
def test_errors_of_the_sampler_are_not_taken_for_slow_rollouts(hermes, error):
    class Broken:
        context_length = 1000

        async def generate(self, prompt_ids, params):
            raise error

    with pytest.raises(type(error), match=str(error)):
        gather(hermes, Broken(), [], samples=3)


def test_each_tree_is_handed_over_as_it_ends_and_returned_in_order(hermes, tokenizer):
    """The first task ends last."""
    others = asyncio.Event()

    async def wait() -> str:
        """Wait for the others."""
        await others.wait()
        return "done"

    tasks = [Task(str(n), ({"role": "user", "content": f"Number {n}."},), ("wait",)) for n in range(3)]

    def say(text, params):
        if "Number 0" in text and "done" not in text:
            return called("wait") + "<|im_end|>"
        return "Answer: x<|im_end|>"

    ended = []

    def done(tree):
        ended.append(tree.task.id)
        if len(ended) == 2:
            others.set()

    collector = Collector(
        ScriptedSampler(tokenizer, say),
        hermes,
        Toolbox([Tool.from_function(wait, time_limit=30)]),
        CollectorConfig(limits=Limits(seconds=20)),
    )
    trees = collector.collect(tasks, run=(), samples=1, done=done)
    assert [tree.task.id for tree in trees] == ["0", "1", "2"]
    assert ended[-1] == "0"


@given(count=st.integers(1, 12), per_step=st.integers(1, 30), seed=st.integers(0, 5))
def test_every_task_comes_once_an_epoch_from_whatever_step_one_looks(count, per_step, seed):
    tasks = [Task(str(number), GO) for number in range(count)]
    config = CollectorConfig(tasks_per_step=per_step)
    straight = Collector(None, None, None, config, seed)
    flat = [task.id for step in range(6) for task in straight.batch(tasks, step)]
    for epoch in range(len(flat) // count):
        assert sorted(flat[epoch * count : (epoch + 1) * count]) == sorted(task.id for task in tasks)
    resumed = Collector(None, None, None, config, seed)
    for step in (5, 2, 3):
        ids = [task.id for task in resumed.batch(tasks, step)]
        assert ids == flat[step * per_step : (step + 1) * per_step]


def test_roll_out_alone_uses_the_parameters_given(hermes):
    asked = []

    class Listener:
        context_length = 1000

        async def generate(self, prompt_ids, params):
            asked.append(params)
            return Sample(tuple(hermes.render_turn({"content": "x"})), (0.0,) * 2, FinishReason.STOP)

    params = SamplingParams(temperature=0.3, top_p=0.8, top_k=7)
    limits = Limits(max_turn_tokens=11)
    asyncio.run(
        roll_out(
            Task("t", GO),
            sampler=Listener(),
            dialect=hermes,
            toolbox=Toolbox(),
            params=params,
            limits=limits,
            samples=2,
        )
    )
    assert {(p.temperature, p.top_p, p.top_k, p.max_tokens) for p in asked} == {(0.3, 0.8, 7, 11)}
    assert {p.stop_token_ids for p in asked} == {hermes.stop_token_ids}
    assert len({p.seed for p in asked}) == 2
