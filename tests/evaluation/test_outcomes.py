"""Outcomes from rollouts, the probe, and the printed table."""

import io

import pytest
from rich.console import Console

from toolwise.core import ErrorKind, Rollout, StopReason, Task, ToolCall, ToolResult, ToolwiseError, Turn
from toolwise.evaluation import (
    Outcome,
    errors_of,
    label_knowledge,
    mark_boundary,
    outcome_of,
    probe,
    results_table,
    summarise,
)

PROMPT = Turn("prompt", (1, 2))


def rollout(task, *turns):
    return Rollout(task, (PROMPT, *turns), tuple(range(len(turns) + 1)), 0, task.id, StopReason.ANSWERED)


def said(*calls, answer=None, error=None):
    return Turn("assistant", (3,), sampled=True, logprobs=(-0.1,), calls=calls, answer=answer, error=error)


def test_outcome_reads_info_and_counts_calls():
    info = {"domain": "math", "kind": "long_sum", "level": "type", "needs_tool": True, "calls_needed": 1}
    task = Task.from_record({"id": "q", "prompt": "?", "info": info})
    path = rollout(task, said(ToolCall("calculator")), Turn("tool", (4,)), said(answer="7"))
    assert outcome_of(task, path, True) == Outcome(
        "q", "math", "long_sum", "type", True, True, 1, 1, "answered", ()
    )


def test_unknown_needs_are_left_unknown():
    task = Task.from_record({"id": "q", "prompt": "?"})
    found = outcome_of(task, rollout(task, said(answer="7")), False)
    assert found.needs_tool is None
    assert found.calls_needed is None
    assert found.level == ""


@pytest.mark.parametrize("info", [{"needs_tool": "yes"}, {"needs_tool": 1}, {"calls_needed": -1}])
def test_wrong_info_is_refused_with_the_task_named(info):
    task = Task.from_record({"id": "q7", "prompt": "?", "info": info})
    with pytest.raises(ToolwiseError, match="task 'q7'"):
        outcome_of(task, rollout(task, said(answer="7")), False)


def test_an_error_shown_in_call_and_result_counts_once():
    broken = ToolCall("?", error=ErrorKind.MALFORMED_CALL)
    results = Turn(
        "tool",
        (4,),
        results=(
            ToolResult("?", "cannot read", ErrorKind.MALFORMED_CALL),
            ToolResult("search", "slow", ErrorKind.TIMEOUT),
        ),
    )
    turns = (PROMPT, said(broken, ToolCall("search")), results, said(error=ErrorKind.TRUNCATED))
    assert errors_of(turns) == ("malformed_call", "timeout", "truncated")


def test_a_broken_call_without_a_result_still_counts():
    broken = ToolCall("?", error=ErrorKind.MALFORMED_CALL)
    assert errors_of((PROMPT, said(broken, error=ErrorKind.MALFORMED_CALL))) == ("malformed_call",)


def sample(task_id, correct, calls=0):
    return Outcome(task_id, "", "", "", None, correct, calls)


def test_probe_labels_by_share_and_a_call_is_no_knowledge():
    drawn = [
        sample("a", True),
        sample("a", False),
        sample("b", True),
        sample("b", True, calls=1),
        sample("b", False),
    ]
    found = label_knowledge(drawn, threshold=0.5)
    assert (found["a"].share, found["a"].known) == (0.5, True)
    assert (found["b"].correct, found["b"].samples, found["b"].known) == (1, 3, False)
    with pytest.raises(ToolwiseError, match="threshold"):
        label_knowledge(drawn, threshold=0)


async def test_probe_asks_k_times_without_tools_and_marks_the_tasks():
    tasks = [Task.from_record({"id": name, "prompt": "?", "tools": ["search"]}) for name in ("known", "new")]
    asked = []

    async def answer(task, number):
        asked.append((task.id, number, task.tools))
        return sample(task.id, task.id == "known")

    found = await probe(tasks, answer, samples=3)
    assert sorted(asked) == [(name, number, ()) for name in ("known", "new") for number in range(3)]
    marked = mark_boundary(tasks, found)
    assert [task.info["needs_tool"] for task in marked] == [False, True]
    assert [task.info["known_share"] for task in marked] == [1.0, 0.0]
    assert marked[0].tools == ("search",)
    assert mark_boundary(tasks, {}) == tasks
    with pytest.raises(ToolwiseError, match="samples"):
        await probe(tasks, answer, samples=0)


def test_the_table_of_three_policies_fits_80_columns_and_shows_figures_and_gaps():
    outcomes = [Outcome(str(i), "", "", "entity", i % 2 == 0, i % 4 > 0, i % 3) for i in range(400)]
    quiet = [sample("a", True), sample("b", False)]
    output = io.StringIO()
    table = results_table(
        {"sft": summarise(outcomes), "otc-grpo": summarise(outcomes), "[red]x[/red]": summarise(quiet)}
    )
    Console(file=output, width=80).print(table)
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("75.0") == 2
    assert "… by entity %" in text
    calls, (low, high) = summarise(outcomes).calls_within, summarise(outcomes).intervals["calls_within"]
    assert text.count(f"{calls:.2f} {low:.2f}–{high:.2f}") == 2
    assert "–" in text
    assert "[red]x[/red]" in text  # a policy's name is text, not markup
