"""A tiny model from scratch: its tokenizer loses nothing, and its template serves every dialect."""

from __future__ import annotations

import pytest

from toolwise.core import ToolResult
from toolwise.dialects import HermesDialect, ToolRLDialect
from toolwise.systems import load_policy, load_recipe
from toolwise.systems.fresh import conversation_texts, fresh_model
from toolwise.systems.recipe import FreshModel
from toolwise.tools import calculator

SIZE = FreshModel(hidden_size=16, layers=1, heads=1, vocabulary=400, context=64)
MESSAGES = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12 + 30?"},
)


@pytest.fixture(scope="module")
def fresh():
    return fresh_model(SIZE, list(conversation_texts(MESSAGES)) * 10, seed=1)


def test_size_and_tags(fresh):
    model, tokenizer = fresh
    assert len(tokenizer) <= 400
    assert model.config.max_position_embeddings == 64
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    for tag in SIZE.tags:
        assert len(tokenizer.encode(tag)) == 1


@pytest.mark.parametrize("text", ["What is 12 + 30?", "  naïve\n\n🙂 \t<think>x</think>", "12345 67"])
def test_any_text_comes_back(fresh, text):
    tokenizer = fresh[1]
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_alone(fresh):
    tokenizer = fresh[1]
    assert [tokenizer.decode([token]) for token in tokenizer.encode("12 + 30")][:2] == ["1", "2"]


def test_equal_seeds_give_equal_models():
    texts = list(conversation_texts(MESSAGES)) * 10
    one, other, third = (fresh_model(SIZE, texts, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(bool((one[name] == other[name]).all()) for name in one)
    assert not all(bool((one[name] == third[name]).all()) for name in one)


def test_the_template_shows_tools_and_results_and_only_appends(fresh):
    tokenizer = fresh[1]
    dialect = HermesDialect(tokenizer)
    prompt = tokenizer.decode(dialect.render_prompt(MESSAGES, [calculator().spec()]))
    assert prompt.startswith("<|im_start|>system\nBe brief.\n\nThese tools")
    assert '"name": "calculator"' in prompt
    assert prompt.endswith("What is 12 + 30?<|im_end|>\n<|im_start|>assistant\n")
    shown = tokenizer.decode(dialect.render_observation([ToolResult("calculator", "42")], closed=True))
    assert shown == "\n<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\n"


def test_without_tools_and_system_message_there_is_no_system_turn(fresh):
    tokenizer = fresh[1]
    prompt = tokenizer.decode(ToolRLDialect(tokenizer).render_prompt(MESSAGES[1:], []))
    assert prompt == "<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n"


def test_texts_of_a_conversation():
    call = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": "c", "reasoning_content": "r", "tool_calls": [call]}
    found = list(conversation_texts([message], ["search", {"name": "own"}], "answer"))
    assert found == ["c", "r", '{"name": "f", "arguments": {"a": 1}}', "search", '{"name": "own"}', "answer"]


def test_the_tokenizer_of_a_fresh_policy_knows_the_tools(fresh):
    recipe = load_recipe("sft", ["model.init={hidden_size: 16, layers: 1, heads: 1, vocabulary: 600}"])
    policy = load_policy(recipe, lambda: conversation_texts(MESSAGES))
    specs = policy.toolbox.specs(["calculator"])
    length = len(policy.dialect.render_prompt(MESSAGES, specs))
    # Without them each letter of the schema would be a token, on every prompt.
    assert length < len(HermesDialect(fresh[1]).render_prompt(MESSAGES, specs)) / 2
