"""Contract tests: every part that comes with the package keeps them, and every kind of breach is named."""

from dataclasses import replace

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

import toolwise.testing
from toolwise.core import Reward
from toolwise.dialects import HermesDialect, SearchR1Dialect, ToolRLDialect
from toolwise.rewards import (
    ExactMatchConfig,
    F1Config,
    MashConfig,
    NumericConfig,
    OTCConfig,
    SearchR1Config,
    build_reward,
)
from toolwise.sampling import EmbeddedSampler, FinishReason
from toolwise.testing import check_dialect, check_reward, check_sampler, check_tool, example_group
from toolwise.tools import SearchIndex, Tool, ask_user, calculator, search_tool
from toolwise.worlds.almanac import WorldSize, build_world
from toolwise.worlds.almanac.base import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(build_world(0, WorldSize(known_people=4, unknown_people=4, towns=10)), 600)


@pytest.fixture(scope="module")
def sampler():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Qwen3Config(
        vocab_size=50, num_key_value_heads=1, head_dim=8, max_position_embeddings=64, **shape
    )
    return EmbeddedSampler(Qwen3ForCausalLM(config).eval())


def test_what_is_exported_is_there():
    assert all(callable(getattr(toolwise.testing, name)) for name in toolwise.testing.__all__)
    with pytest.raises(AttributeError, match="check_nothing"):
        _ = toolwise.testing.check_nothing


@pytest.mark.parametrize(
    "config",
    [
        ExactMatchConfig(),
        F1Config(),
        NumericConfig(),
        OTCConfig(),
        OTCConfig(form="ppo"),
        MashConfig(),
        SearchR1Config(structure=0.2, final=0.1),
    ],
    ids=lambda config: config.type,
)
def test_rewards_of_the_package_keep_their_contract(config):
    found = check_reward(build_reward(config))
    assert found[0].total > found[1].total


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (lambda task, rollouts: [Reward(0.0)], "gives 1 rewards for 6 rollouts"),
        (lambda task, rollouts: tuple(Reward(0.0) for _ in rollouts), "gives tuple, not a list"),
        (lambda task, rollouts: [0.0 for _ in rollouts], "reward 0 is float"),
        (lambda task, rollouts: [Reward(float("nan")) for _ in rollouts], "the total nan"),
        (lambda task, rollouts: [Reward(0.0, {"a": float("inf")}) for _ in rollouts], "part 'a' = inf"),
        (lambda task, rollouts: [Reward(0.0, turns=(1.0,)) for _ in rollouts], "1 values in 'turns', not 2"),
        (lambda task, rollouts: [Reward(0.0, tokens=(1.0,)) for _ in rollouts], "in 'tokens', not"),
        (lambda task, rollouts: [Reward(float(n)) for n, _ in enumerate(rollouts)], "depend on the order"),
    ],
)
def test_breaches_of_a_reward(broken, problem):
    with pytest.raises(AssertionError, match=problem):
        check_reward(broken)


def test_breaches_of_a_reward_with_a_memory():
    class Counting:
        def __init__(self):
            self.groups = 0

        def __call__(self, task, rollouts):
            self.groups += 1
            return [Reward(float(self.groups)) for _ in rollouts]

    with pytest.raises(AssertionError, match="other rewards the second time"):
        check_reward(Counting())

    class Remembering(Counting):
        def state_dict(self):
            return {"groups": self.groups}

        def load_state_dict(self, state):
            self.groups = state["groups"]

    kept = Remembering()
    check_reward(kept)
    assert kept.groups == 0

    class Forgetful(Remembering):
        def load_state_dict(self, state):
            self.groups = 7

    with pytest.raises(AssertionError, match="not what load_state_dict"):
        check_reward(Forgetful())

    class Unwritable(Remembering):
        def state_dict(self):
            return {"groups": {1, 2}}

    with pytest.raises(AssertionError, match="cannot be written as JSON"):
        check_reward(Unwritable())


def test_the_example_group_holds_what_training_meets():
    task, rollouts = example_group("yes", "no")
    assert [rollout.answer for rollout in rollouts] == ["yes", "no", "yes", "no", None, None]
    assert [rollout.calls for rollout in rollouts] == [0, 0, 1, 1, 0, 0]
    assert task.answer == "yes"


def test_tools_of_the_package_keep_their_contract():
    assert check_tool(calculator(), {"expression": "6 * 7"}).content == "42"
    assert "river" in check_tool(search_tool(SearchIndex.from_texts(["a river"])), {"query": "river"}).content
    wish = check_tool(ask_user(), {"question": "Which topping?"}, {"persona": {"topping": "honey"}})
    assert wish.content == "honey"


def named(word: str) -> str:
    """Say a word.

    Args:
        word: The word.
    """
    if word == "bad":
        raise ValueError("bad word")
    return word


def test_breaches_of_a_tool():
    with pytest.raises(AssertionError, match="make a Tool of it"):
        check_tool(named, {"word": "x"})
    tool = Tool.from_function(named)
    with pytest.raises(AssertionError, match=r"the call fails \(tool_failure\).*bad word"):
        check_tool(tool, {"word": "bad"})
    with pytest.raises(AssertionError, match="no description"):
        check_tool(replace(tool, description=" "), {"word": "x"})
    loose = {"type": "object", "properties": {"word": {"type": "string"}}}
    with pytest.raises(AssertionError, match="lets a call through"):
        check_tool(replace(tool, parameters=loose), {"word": "x"})
    with pytest.raises(AssertionError, match="cannot be written as JSON"):
        check_tool(replace(tool, parameters=loose | {"default": {1, 2}}), {"word": "x"})


def test_dialects_of_the_package_keep_their_contract(tokenizer):
    check_dialect(HermesDialect(tokenizer))
    check_dialect(ToolRLDialect(tokenizer), tools=())
    search = search_tool(SearchIndex.from_texts(["Ada lives in Arden."])).spec()
    call = {"name": "search", "arguments": {"query": "6 * 7"}}
    check_dialect(SearchR1Dialect(tokenizer), tools=(search,), call=call)


def changed(dialect, **methods):
    """The dialect with some methods replaced."""

    class Changed:
        def __getattr__(self, name):
            return getattr(dialect, name)

    made = Changed()
    for name in (
        "stop_token_ids",
        "stop_strings",
        "render_prompt",
        "parse",
        "render_observation",
        "render_turn",
    ):
        setattr(made, name, methods.get(name, getattr(dialect, name)))
    return made


def test_breaches_of_a_dialect(tokenizer):
    hermes = HermesDialect(tokenizer)

    def fragile(token_ids):
        if len(token_ids) < 3:
            raise IndexError("too short")
        return hermes.parse(token_ids)

    breaches = {
        "nothing ends a turn": {"stop_token_ids": ()},
        "does not show the tools": {
            "render_prompt": lambda messages, tools: hermes.render_prompt(messages, ())
        },
        "does not give token ids": {"render_prompt": lambda messages, tools: []},
        "does not end in a stop token": {"render_turn": lambda message: hermes.render_turn(message)[:-1]},
        "has a stop token inside": {"render_turn": lambda message: hermes.render_turn(message) * 2},
        "a rendered call is read back": {"parse": lambda ids: replace(hermes.parse(ids), calls=())},
        "as an answer": {"parse": lambda ids: replace(hermes.parse(ids), answer="x")},
        "an answer is read back": {"parse": lambda ids: replace(hermes.parse(ids), answer=None)},
        "a thought is read back": {"parse": lambda ids: replace(hermes.parse(ids), thought="")},
        "parse raises IndexError": {"parse": fragile},
        "the observation after an open turn": {
            "render_observation": lambda results, closed: hermes.render_observation(results, True)
        },
    }
    for problem, methods in breaches.items():
        with pytest.raises(AssertionError, match=problem):
            check_dialect(changed(hermes, **methods))
    with pytest.raises(AssertionError, match="lacks a method"):
        check_dialect(object())


def test_the_embedded_sampler_keeps_its_contract(sampler):
    check_sampler(sampler)
    check_sampler(sampler, [5] * 60, max_tokens=8)


class Broken:
    """A sampler that spoils what a good one gives."""

    def __init__(self, sampler, spoil):
        self.sampler, self.spoil, self.context_length, self.count = sampler, spoil, sampler.context_length, 0

    async def generate(self, prompt_ids, params):
        self.count += 1
        return self.spoil(await self.sampler.generate(prompt_ids, params), self.count)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda s, n: replace(s, token_ids=(), logprobs=()), "has no token"),
        (lambda s, n: replace(s, logprobs=s.logprobs[1:]), "log-probabilities for 8 tokens"),
        (lambda s, n: replace(s, logprobs=(0.5,) * 8), "above 0"),
        (lambda s, n: replace(s, token_ids=s.token_ids * 2, logprobs=s.logprobs * 2), "more than it may"),
        (lambda s, n: replace(s, finish_reason=FinishReason.CONTEXT), "because of 'context'"),
        (lambda s, n: replace(s, token_ids=(*s.token_ids[:-1], n)), "beside it"),
    ],
)
def test_breaches_of_a_sampler(sampler, spoil, problem):
    with pytest.raises(AssertionError, match=problem):
        check_sampler(Broken(sampler, spoil))
