from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolwise.core import ErrorKind, ToolResult, ToolwiseError
from toolwise.dialects import ToolRLDialect, assistant_text, toolrl_prompt

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
words = text.map(str.strip).filter(lambda t: "<" not in t and ">" not in t)
# A tag inside a parameter ends the block for ToolRL's own scorer too, so it is no fair round trip.
arguments = st.dictionaries(words, st.integers() | st.booleans() | words, max_size=3)
calls = st.builds(lambda name, given: {"name": name, "arguments": given}, words.filter(bool), arguments)


@pytest.fixture(scope="module")
def tokenizer(make_tokenizer):
    return make_tokenizer(TEMPLATE)


@pytest.fixture(scope="module")
def dialect(tokenizer):
    return ToolRLDialect(tokenizer)


def parse_text(dialect, tokenizer, turn):
    return dialect.parse(tokenizer.encode(turn, add_special_tokens=False))


@QUICK
@given(thought=words, answer=words, made=st.lists(calls, max_size=3))
def test_parse_inverts_render_turn(dialect, thought, answer, made):
    message = {"role": "assistant", "content": answer, "reasoning_content": thought, "tool_calls": made}
    parsed = dialect.parse(dialect.render_turn(message))
    assert (parsed.thought, parsed.answer, parsed.error) == (thought, answer or None, None)
    assert [(call.name, call.arguments) for call in parsed.calls] == [
        (call["name"], call["arguments"]) for call in made
    ]


@QUICK
@given(
    st.lists(
        st.sampled_from(
            ["<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", '{"name": "a"', "}", "\n"]
        )
        | text,
        max_size=12,
    )
)
def test_the_parser_never_raises(dialect, tokenizer, parts):
    parsed = parse_text(dialect, tokenizer, "".join(parts))
    assert (parsed.error is ErrorKind.MALFORMED_CALL) == any(call.error for call in parsed.calls)


@pytest.mark.parametrize(
    ("turn", "errors", "answer"),
    [
        (
            '<tool_call>\n{"name": "a", "parameters": {}}\n{"name": "b", "parameters": {}}\n</tool_call>',
            [False] * 2,
            None,
        ),
        ('<tool_call>\n{"name": "a", "parameters": {}}\nno\n</tool_call>', [False, True], None),
        ('<tool_call>\n{"name": "a", "parameters": {}} x\n</tool_call>', [True], None),
        ('<tool_call>\n{"name": "a", "arguments": {}}\n</tool_call>', [True], None),
        ('<tool_call>\n{"name": "a", "parameters": {}}', [False, True], None),
        ("<tool_call></tool_call>", [True], None),
        ("<think> say <tool_call> or not </think>\n<response> hi </response>", [], "hi"),
        ("<think> x </think>\n<response> hi", [], "hi"),
        ("hi", [], None),
        ("", [], None),
    ],
)
def test_what_a_turn_says(dialect, tokenizer, turn, errors, answer):
    parsed = parse_text(dialect, tokenizer, turn)
    assert [call.error is not None for call in parsed.calls] == errors
    assert parsed.answer == answer


def test_observation_is_a_user_message(dialect, tokenizer):
    results = [ToolResult("a", "1"), ToolResult("b", "<|im_end|>")]
    tokens = dialect.render_observation(results, closed=True)
    shown = tokenizer.decode(tokens).replace("\u200b", "")
    inner = '[{"name": "a", "results": "1"}, {"name": "b", "results": "<|im_end|>"}]'
    assert shown == f"\n<|im_start|>user\n<obs> {inner} </obs><|im_end|>\n<|im_start|>assistant\n"
    assert tokens.count(tokenizer.eos_token_id) == 1
    assert dialect.render_observation(results, closed=False) == [tokenizer.eos_token_id, *tokens]


def test_tools_and_history_become_the_published_prompt(dialect, tokenizer):
    messages = [{"role": "user", "content": "?"}]
    tools = [{"type": "function", "function": {"name": "a", "description": "Does a."}}]
    shown = tokenizer.apply_chat_template(
        list(toolrl_prompt(messages, tools)), tokenize=False, add_generation_prompt=True
    )
    assert tokenizer.decode(dialect.render_prompt(messages, tools)) == shown
    assert "1. Name: a\nDescription: Does a.\nParameters: {}\n" in shown
    assert "**Dialogue Records History**\n<user> ? </user><|im_end|>" in shown
    # Without tools a prompt is taken as it is: published tasks hold all of it as text.
    assert tokenizer.decode(dialect.render_prompt(messages, [])).startswith("<|im_start|>user\n?<|im_end|>")


def test_what_a_turn_says_is_told_apart_from_what_ends_it(dialect, tokenizer):
    said = "<think> x </think>\n<response> hi </response>"
    assert parse_text(dialect, tokenizer, said + "<|im_end|>").content == said
    assert parse_text(dialect, tokenizer, said).content == said
    # A special token that does not end a turn here stays, and spoils the format as in the published program.
    assert parse_text(dialect, tokenizer, said + "<|endoftext|>").content == said + "<|endoftext|>"


def test_assistant_text_of_templates():
    marker = "<|im_start|>assistant\n"
    qwen = f"<|im_start|>user\nhi<|im_end|>\n{marker}old<|im_end|>\n{marker} x <|im_end|>"
    assert assistant_text(qwen, "qwen") == "x"
    llama = "<|start_header_id|>assistant<|end_header_id|>\n\nx<|eot_id|>"
    assert assistant_text(llama, "llama") == "x"
    assert assistant_text(" x ", "qwen") == "x"
    with pytest.raises(ToolwiseError, match="mistral"):
        assistant_text("x", "mistral")


@pytest.mark.data
def test_the_published_demonstrations_parse(dialect, tokenizer):
    path = SHARED / "toolrl_rlla" / "rlla_sft.json"
    if not path.exists():
        pytest.skip("the public data set toolrl_rlla is not beside the checkout")
    records = json.loads(path.read_text(encoding="utf-8"))
    for record in records:
        tokens = dialect.render_turn({"role": "assistant", "content": record["output"]})
        parsed = dialect.parse(tokens)
        assert parsed.text == record["output"] + "<|im_end|>"
        assert parsed.thought
        assert parsed.error is None
        assert parsed.calls or parsed.answer
        assert bool(parsed.answer) == ("<response>" in record["output"].split("</think>")[-1])
