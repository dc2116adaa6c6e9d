"""Demonstrations as trees: stretches, prompts, and conversations that make no sense."""

import pytest

from toolwise.core import StopReason, ToolwiseError
from toolwise.rollout import demonstration_trees
from toolwise.tools import Toolbox, calculator

SPECS = Toolbox([calculator()]).specs(["calculator"])
ASK = {"role": "user", "content": "What is 6 * 7?"}


def calls(*expressions):
    made = [
        {"type": "function", "function": {"name": "calculator", "arguments": {"expression": expression}}}
        for expression in expressions
    ]
    return {"role": "assistant", "content": "", "reasoning_content": "I work it out.", "tool_calls": made}


def result(content):
    return {"role": "tool", "name": "calculator", "content": content}


def test_a_stretch_has_the_turns_of_a_rollout_each_with_its_weight(hermes):
    messages = [
        ASK,
        calls("6 * 7", "2 * 21"),
        result("42"),
        result("42"),
        {"role": "assistant", "content": "42"},
    ]
    (tree,) = demonstration_trees("d", messages, SPECS, hermes)
    prompt, call, observation, answer = tree.turns
    assert tree.ends[0].stop is StopReason.DEMONSTRATION
    assert prompt.token_ids == tuple(hermes.render_prompt([ASK], SPECS))
    assert [c.arguments["expression"] for c in call.calls] == ["6 * 7", "2 * 21"]
    assert call.thought == "I work it out."
    assert observation.token_ids == tuple(hermes.render_observation(observation.results, closed=True))
    assert answer.answer == "42"
    assert not any(turn.sampled for turn in tree.turns)
    assert [set(turn.supervised_weights) for turn in tree.turns] == [{0.0}, {1.0}, {0.0}, {1.0}]


def test_a_later_user_message_begins_a_new_tree_whose_prompt_holds_what_came_before(hermes):
    messages = [
        {"role": "system", "content": "Be brief."},
        ASK,
        calls("6 * 7"),
        result("42"),
        {"role": "assistant", "content": "42"},
        {"role": "user", "content": "And twice that?"},
        calls("2 * 42"),
        result("84"),
        {"role": "assistant", "content": "84"},
    ]
    first, second = demonstration_trees("d", messages, SPECS, hermes)
    assert [turn.answer for turn in first.turns] == [None, None, None, "42"]
    assert [turn.answer for turn in second.turns] == [None, None, None, "84"]
    assert second.turns[0].token_ids == tuple(hermes.render_prompt(messages[:6], SPECS))
    # Every assistant message is trained on once.
    trained = [turn.text for tree in (first, second) for turn in tree.turns if turn.role == "assistant"]
    assert len(trained) == len(set(trained)) == 4


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([ASK], "no assistant turn"),
        ([], "no assistant turn"),
        ([{"role": "assistant", "content": "Hello"}], "the first message is the assistant's"),
        (
            [ASK, result("42"), {"role": "assistant", "content": "42"}],
            "message 1 is a tool result without a call",
        ),
    ],
)
def test_conversations_that_make_no_sense(hermes, messages, problem):
    with pytest.raises(ToolwiseError, match=f"demonstration 'd': {problem}"):
        demonstration_trees("d", messages, SPECS, hermes)
