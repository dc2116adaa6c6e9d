"""Dialects of two other families: pieces are the template's whole, and what a model writes is read."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolwise.core import ErrorKind, Task, ToolCall, ToolResult, ToolwiseError, Turn
from toolwise.dialects import Llama3Dialect, MistralDialect
from toolwise.rollout import demonstration_trees
from toolwise.testing import check_dialect
from toolwise.tools import Session, Toolbox, tool

SPEC = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}
USER = {"role": "user", "content": "Where is it?"}
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
plain = text.map(str.strip).filter(lambda t: t == "" or t[0].isalnum()).filter(lambda t: "<" not in t)
arguments = st.dictionaries(
    text, st.integers() | st.booleans() | text | st.lists(text, max_size=2), max_size=3
)
names = st.from_regex(r"\A[a-z_]{1,12}\Z")
ids = st.from_regex(r"\A[A-Za-z0-9]{9}\Z")
one_call = st.builds(
    lambda name, given, id: {"type": "function", "id": id, "function": {"name": name, "arguments": given}},
    names,
    arguments,
    ids,
)


def parse(dialect, tokenizer, turn):
    return dialect.parse(tokenizer.encode(turn, add_special_tokens=False))


@QUICK
@given(rounds=st.lists(st.tuples(one_call, plain), max_size=3), last=plain.filter(bool))
def test_llama_pieces_are_the_whole_conversation(llama, rounds, last):
    dialect = Llama3Dialect(llama)
    messages = [USER]
    tokens = dialect.render_prompt(messages, [SPEC])
    for call, found in rounds:
        said = {"role": "assistant", "content": "", "tool_calls": [call]}
        turn = dialect.render_turn(said)
        parsed = dialect.parse(turn)
        assert parsed.calls == (ToolCall(call["function"]["name"], call["function"]["arguments"]),)
        tokens += turn + dialect.render_observation([ToolResult("x", found)], closed=True)
        messages += [said, {"role": "tool", "content": found}]
    final = {"role": "assistant", "content": last}
    tokens += dialect.render_turn(final)
    whole = llama.apply_chat_template([*messages, final], tools=[SPEC], tokenize=False)
    assert tokens == llama.encode(whole, add_special_tokens=False)
    assert dialect.parse(dialect.render_turn(final)).answer == last


@QUICK
@given(
    rounds=st.lists(st.lists(st.tuples(one_call, plain), min_size=1, max_size=3), max_size=3),
    last=plain.filter(bool),
)
def test_mistral_pieces_are_the_whole_conversation(mistral, rounds, last):
    dialect = MistralDialect(mistral)
    messages = [USER]
    tokens = dialect.render_prompt(messages, [SPEC])
    for made in rounds:
        said = {"role": "assistant", "content": "", "tool_calls": [call for call, _ in made]}
        turn = dialect.render_turn(said)
        parsed = dialect.parse(turn)
        assert [(call.name, call.arguments, call.id) for call in parsed.calls] == [
            (call["function"]["name"], call["function"]["arguments"], call["id"]) for call, _ in made
        ]
        results = [ToolResult("x", found, id=call["id"]) for call, found in made]
        tokens += turn + dialect.render_observation(results, closed=True)
        messages.append(said)
        messages += [{"role": "tool", "content": found, "tool_call_id": call["id"]} for call, found in made]
    final = {"role": "assistant", "content": last}
    tokens += dialect.render_turn(final)
    whole = mistral.apply_chat_template([*messages, final], tools=[SPEC], tokenize=False)
    assert tokens == mistral.encode(whole, add_special_tokens=False)


ONE = '{"name": "search", "parameters": {"query": "x"}}'


@pytest.mark.parametrize(
    ("turn", "called", "errors", "answer"),
    [
        (ONE, 1, 0, None),
        (f"<|python_tag|>{ONE}<|eom_id|>", 1, 0, None),
        (f"{ONE}; {ONE}\n{ONE}<|eot|>", 3, 0, None),
        (f"<think>\nlook\n</think>\n\n{ONE}", 1, 0, None),
        (f"{ONE} and more", 2, 1, None),
        ('<|python_tag|>search.call(query="x")', 1, 1, None),
        ("<|python_tag|>", 1, 1, None),
        ('{"name": "search", "parameters": ', 1, 1, None),
        ('{"name": 3, "parameters": {}}', 1, 1, None),
        ('{"river": "Ouse"}', 0, 0, '{"river": "Ouse"}'),
        ("It is here.<|eot|>", 0, 0, "It is here."),
        (f"I call {ONE}", 0, 0, f"I call {ONE}"),
        ("", 0, 0, None),
    ],
)
def test_what_a_llama_turn_says(llama, turn, called, errors, answer):
    parsed = parse(Llama3Dialect(llama), llama, turn)
    assert len(parsed.calls) == called
    assert sum(call.error is not None for call in parsed.calls) == errors
    assert parsed.answer == answer
    assert (parsed.error is ErrorKind.MALFORMED_CALL) == bool(errors)
    assert parsed.thought == ("look" if "look" in turn else "")


@pytest.mark.parametrize(
    ("turn", "ids", "errors", "answer"),
    [
        ('[TOOL_CALLS][{"name": "a", "arguments": {}, "id": "abcdefgh1"}]</s>', ["abcdefgh1"], 0, None),
        ('[TOOL_CALLS] [{"name": "a", "arguments": {}}]', ["call00000"], 0, None),
        ('Wait. [TOOL_CALLS][{"name": "a", "arguments": {}, "id": "\\"}[/INST]"}]', None, 0, None),
        ('[TOOL_CALLS]{"name": "a", "arguments": {}}', [""], 1, None),
        ("[TOOL_CALLS][]", [""], 1, None),
        ("[TOOL_CALLS]", [""], 1, None),
        ('[TOOL_CALLS][{"name": "a"}, 3]', ["call00000", "call00001"], 2, None),
        ('[TOOL_CALLS][{"name": "a", "arguments": {}, "id": "abcdefgh1"}] more', ["abcdefgh1", ""], 1, None),
        ("It is here.</s>", [], 0, "It is here."),
        ("<think>x</think> y", [], 0, "y"),
    ],
)
def test_what_a_mistral_turn_says(mistral, turn, ids, errors, answer):
    parsed = parse(MistralDialect(mistral), mistral, turn)
    if ids is not None:
        assert [call.id for call in parsed.calls] == ids
    assert all(not call.id or (len(call.id) == 9 and call.id.isalnum()) for call in parsed.calls)
    assert sum(call.error is not None for call in parsed.calls) == errors
    assert parsed.answer == answer


@QUICK
@given(
    st.lists(
        st.sampled_from(["[TOOL_CALLS]", "[{", '"name"', ":", "<|python_tag|>", "}", "[" * 2000]) | text,
        max_size=9,
    )
)
def test_the_parsers_never_raise(llama, mistral, parts):
    turn = "".join(parts)
    for dialect, tokenizer in ((Llama3Dialect(llama), llama), (MistralDialect(mistral), mistral)):
        parsed = parse(dialect, tokenizer, turn)
        assert (parsed.error is ErrorKind.MALFORMED_CALL) == any(call.error for call in parsed.calls)


def test_the_contract_holds(llama, mistral):
    messages = [USER]
    check_dialect(Llama3Dialect(llama), messages)
    check_dialect(MistralDialect(mistral), messages)


def test_a_turn_that_awaits_a_result_ends_at_end_of_message(llama):
    dialect = Llama3Dialect(llama)
    assert llama.convert_tokens_to_ids("<|eom_id|>") in dialect.stop_token_ids
    open_turn = dialect.render_observation([ToolResult("x", "y")], closed=False)
    closed = dialect.render_observation([ToolResult("x", "y")], closed=True)
    assert llama.decode(closed) == '<|start|>ipython<|mid|>\n\n"y"<|eot|><|start|>assistant<|mid|>\n\n'
    assert open_turn == [llama.convert_tokens_to_ids("<|eot|>"), *closed]
    with pytest.raises(ToolwiseError, match="either a call or text"):
        dialect.render_turn({"content": "I look", "tool_calls": [{"name": "a", "arguments": {}}]})


def test_results_repeat_the_ids_of_the_sampled_calls(mistral):
    @tool
    def search(query: str) -> str:
        """Search.

        Args:
            query: What for.
        """
        return f"about {query}"

    dialect = MistralDialect(mistral)
    listed = json.dumps([{"name": "search", "arguments": {"query": q}, "id": q * 9} for q in "ab"])
    calls = parse(dialect, mistral, f"[TOOL_CALLS]{listed}</s>").calls
    session = Session(Task("t", (USER,), ("search",)))
    results = asyncio.run(Toolbox([search]).run_all(calls, session))
    shown = mistral.decode(dialect.render_observation(results, closed=True))
    assert shown.index("about a") < shown.index("a" * 9) < shown.index("about b") < shown.index("b" * 9)
    turn = Turn("tool", (), calls=calls, results=tuple(results))
    assert Turn.from_record(turn.to_record()) == turn


def test_ids_of_other_forms_stay_in_step(mistral):
    """A file with OpenAI's ids: the call and its result get the same usable one."""
    dialect = MistralDialect(mistral)
    call = {"type": "function", "id": "call_x-1", "function": {"name": "search", "arguments": {"query": "x"}}}
    messages = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "search", "content": "found", "tool_call_id": "call_x-1"},
        {"role": "assistant", "content": "There."},
    ]
    (tree,) = demonstration_trees("d", messages, [SPEC], dialect)
    turns = tree.rollouts()[0].turns
    (read,) = turns[1].calls
    assert len(read.id) == 9
    assert f'"call_id": "{read.id}"' in turns[2].text
    again = mistral.decode(dialect.render_prompt([*messages, USER], [SPEC]))
    assert again.count(read.id) == 2


REWRITES = "depends on what came before"
CHANGES = [
    (Llama3Dialect, "{%- if tools %}", "{%- if false %}", "does not show tools"),
    (Llama3Dialect, "'<|start|>ipython", "messages | length ~ '<|start|>ipython", REWRITES),
    (Llama3Dialect, "bos_token + ", "bos_token + ('' if messages[-1].role == 'tool' else 'Hi') + ", REWRITES),
    (Llama3Dialect, '{"name": "', 'I call {"name": "', "bare JSON object"),
    (MistralDialect, "{%- if tools and", "{%- if false and", "does not show tools"),
    (
        MistralDialect,
        "bos_token }}",
        "bos_token + ('Hi' if messages[-1].role == 'tool' else '') }}",
        REWRITES,
    ),
    (MistralDialect, "'[TOOL_CALLS]['", "'[TOOL_CALLS]'", "as a list after"),
]


@pytest.mark.parametrize(("dialect", "part", "changed", "problem"), CHANGES)
def test_templates_that_rewrite_or_differ_are_refused(
    make_tokenizer, templates, dialect, part, changed, problem
):
    template, eos = templates["llama3" if dialect is Llama3Dialect else "mistral"]
    assert part in template
    made = dialect(make_tokenizer(template.replace(part, changed), eos=eos))
    assert made.render_prompt([USER], [])
    with pytest.raises(ToolwiseError, match=problem) as caught:
        made.render_prompt([USER], [SPEC])
    assert caught.value.mend
