"""The loop of Search-R1 with a scripted sampler: corrections, the forced last turn, masks, limits."""

import asyncio

import numpy as np
import pytest

from toolwise.core import ErrorKind, StopReason, Task, ToolwiseError
from toolwise.dialects import SearchR1Dialect
from toolwise.learning import TokenTree
from toolwise.rollout import Collector, CollectorConfig, Limits, roll_out
from toolwise.sampling import FinishReason, Sample, SamplingParams
from toolwise.tools import SearchIndex, Toolbox, search_tool

SEARCH = "<think> a </think>\n<search> arden </search>"
ANSWER = "<think> b </think>\n<answer> Wend </answer>"
TASK = Task("t", ({"role": "user", "content": "Which river?"},), ("search",), "Wend", {"index": 7})
INDEX = SearchIndex.from_texts(["The river of Arden is the Wend."], ["Arden"])


class ScriptedSampler:
    """A test double: says the next line of a script at each turn, cut at the limit or at a stop string."""

    def __init__(self, tokenizer, *lines, context_length=2000):
        self.tokenizer, self.lines, self.context_length = tokenizer, list(lines), context_length
        self.prompts, self.limits = [], []

    async def generate(self, prompt_ids, params):
        line = self.lines[min(len(self.prompts), len(self.lines) - 1)]
        self.prompts.append(tuple(prompt_ids))
        self.limits.append(params.max_tokens)
        ids = tuple(self.tokenizer.encode(line, add_special_tokens=False))[: params.max_tokens]
        text = self.tokenizer.decode(ids)
        stopped = any(stop in text for stop in params.stop) or (ids and ids[-1] in params.stop_token_ids)
        return Sample(ids, (-0.5,) * len(ids), FinishReason.STOP if stopped else FinishReason.LENGTH)


@pytest.fixture(scope="module")
def dialect(tokenizer):
    return SearchR1Dialect(tokenizer)


@pytest.fixture
def play(tokenizer, dialect):
    def run(*lines, context_length=2000, **limits):
        sampler = ScriptedSampler(tokenizer, *lines, context_length=context_length)
        tree = asyncio.run(
            roll_out(
                TASK,
                sampler=sampler,
                dialect=dialect,
                toolbox=Toolbox([search_tool(INDEX, layout="search_r1")]),
                params=SamplingParams(),
                limits=Limits(**limits),
            )
        )
        return tree, sampler

    return run


def test_a_search_is_answered_in_the_same_message(play, tokenizer):
    tree, sampler = play(SEARCH, ANSWER)
    (rollout,) = tree.rollouts()
    found = "\n\n<information>Doc 1(Title: Arden) The river of Arden is the Wend.</information>\n\n"
    assert rollout.completion == SEARCH + found + ANSWER
    assert (rollout.stop, rollout.answer, rollout.calls) == (StopReason.ANSWERED, "Wend", 1)
    assert sampler.prompts[1] == tuple(token for turn in rollout.turns[:3] for token in turn.token_ids)
    # No role changes: what follows the prompt holds no token of the template.
    assert "<|im_start|>" not in rollout.completion


def test_retrieved_tokens_are_attended_to_and_never_trained_on(play):
    tree, _ = play(SEARCH, ANSWER)
    (rollout,) = tree.rollouts()
    trained = TokenTree.reinforced(tree, [np.ones(len(rollout.token_ids))])
    places = set(trained.pair_token[trained.pair_weight > 0].tolist())
    start = 0
    for turn in rollout.turns:
        own = set(range(start, start + len(turn.token_ids)))
        assert own
        assert own <= places if turn.role == "assistant" else not own & places
        start += len(turn.token_ids)


@pytest.mark.parametrize("line", ["I wonder.<|im_end|>", "<search> no end"])
def test_a_turn_that_does_nothing_is_corrected_and_the_rollout_goes_on(play, line):
    tree, _ = play(line, ANSWER)
    (rollout,) = tree.rollouts()
    _, nothing, correction, answer = rollout.turns
    # Also where the turn was cut at its limit, as in the published loop.
    assert nothing.error in (ErrorKind.MALFORMED_CALL, ErrorKind.TRUNCATED)
    assert correction.results == ()
    assert "between <answer> and </answer>" in correction.text
    assert (answer.answer, rollout.stop, rollout.calls) == ("Wend", StopReason.ANSWERED, 0)


def test_the_last_turn_is_forced_its_search_is_counted_and_not_run(play):
    """Four turns with search and one without are max_turns 5: the published counter reaches 5, not 4."""
    tree, sampler = play(SEARCH, max_turns=5)
    (rollout,) = tree.rollouts()
    assert len(sampler.prompts) == 5
    assert [turn.role for turn in rollout.turns] == ["prompt", *["assistant", "tool"] * 4, "assistant"]
    assert (rollout.stop, rollout.calls, rollout.answer) == (StopReason.MAX_TURNS, 5, None)
    tree, _ = play(*[SEARCH] * 4, ANSWER, max_turns=5)
    (rollout,) = tree.rollouts()
    assert (rollout.stop, rollout.calls, rollout.answer) == (StopReason.ANSWERED, 4, "Wend")


def test_doing_nothing_in_the_last_turn_ends_the_rollout(play):
    tree, _ = play("I wonder.<|im_end|>", max_turns=2)
    (rollout,) = tree.rollouts()
    assert (rollout.stop, len(rollout.turns)) == (StopReason.MAX_TURNS, 4)


def test_the_context_can_be_limited_below_that_of_the_model(play):
    tree, _ = play(SEARCH, ANSWER)
    sizes = [len(turn.token_ids) for turn in tree.rollouts()[0].turns]
    # Room for the prompt, the search, what it found, and three more tokens.
    limit = sum(sizes[:3]) + 3
    tree, sampler = play(SEARCH, ANSWER, max_context=limit)
    (rollout,) = tree.rollouts()
    assert (rollout.stop, len(rollout.token_ids)) == (StopReason.CONTEXT, limit)
    assert sampler.limits == [min(256, limit - sizes[0]), 3]
    # No room for the results: kept for people, not for the model.
    tree, _ = play(SEARCH, ANSWER, max_context=sum(sizes[:3]))
    (rollout,) = tree.rollouts()
    assert (rollout.stop, rollout.turns[-1].token_ids) == (StopReason.CONTEXT, ())
    with pytest.raises(ToolwiseError, match="context of a rollout 16"):
        play(SEARCH, max_context=16)
    # A model that sees less than the limit is cut by its own context.
    _, sampler = play(SEARCH, ANSWER, context_length=limit, max_context=10 * limit)
    assert sampler.limits[1] == 3


def test_groups_are_keyed_by_the_question_or_by_a_key_of_info(tokenizer, dialect):
    other = Task("u", TASK.prompt, ("search",), "Wend", {"index": 7})

    def groups(**config):
        collector = Collector(
            ScriptedSampler(tokenizer, ANSWER),
            dialect,
            Toolbox([search_tool(INDEX)]),
            CollectorConfig(group_size=2, **config),
        )
        trees = collector.collect([TASK, other], run=("train", 1))
        return [[rollout.group for rollout in tree.rollouts()] for tree in trees]

    assert groups() == [["t", "t"], ["u", "u"]]
    # The published key restarts for each source, so two questions share a group.
    assert groups(group_by="index") == [["7", "7"], ["7", "7"]]
    with pytest.raises(ToolwiseError, match=r"task 't': info has no 'source'"):
        groups(group_by="source")
