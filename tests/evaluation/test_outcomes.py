"""Outcomes from rollouts, the probe, and the printed table."""

import io

import pytest
from rich.console import Console

from toolwise.core import ErrorKind, Rollout, StopReason, Task, ToolCall, ToolResult, ToolwiseError, Turn
from toolwise.evaluation import (
    Outcome,
    Thresholds,
    errors_of,
    knowledge_table,
    label_knowledge,
    mark_boundary,
    outcome_of,
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
    found = label_knowledge(drawn, Thresholds(0.5, 0.4))
    assert (found["a"].share, found["a"].label) == (0.5, "known")
    assert (found["b"].correct, found["b"].samples, found["b"].label) == (1, 3, "unknown")
    assert [found[name].label for name in found] == ["known", "unknown"]
    assert {name: one.label for name, one in label_knowledge(drawn).items()} == {
        "a": "uncertain",
        "b": "uncertain",
    }


def test_thresholds_of_knowledge():
    labels = [Thresholds().label(share / 8) for share in range(9)]
    assert labels == ["unknown"] * 3 + ["uncertain"] * 3 + ["known"] * 3
    assert [Thresholds(0.5, 0.5).label(share / 4) for share in range(5)] == ["unknown"] * 2 + ["known"] * 3
    for wrong in ((0, 0), (1.1, 0), (0.5, 0.6), (0.5, -0.1)):
        with pytest.raises(ToolwiseError, match=r"known_from|unknown_up_to"):
            Thresholds(*wrong)


def test_marks_of_a_probe():
    tasks = [
        Task.from_record(
            {"id": name, "prompt": "?", "tools": ["search"], "info": {"needs_tool": True, "domain": "d"}}
        )
        for name in ("known", "uncertain", "unknown", "unasked")
    ]
    drawn = [
        sample(name, right)
        for name, hits in (("known", 4), ("uncertain", 2), ("unknown", 0))
        for right in [True] * hits + [False] * (4 - hits)
    ]
    marked = mark_boundary(tasks, label_knowledge(drawn))
    assert [task.info for task in marked] == [
        {"domain": "d", "needs_tool": False, "known_share": 1.0, "knowledge": "known"},
        {"domain": "d", "known_share": 0.5, "knowledge": "uncertain"},
        {"domain": "d", "needs_tool": True, "known_share": 0.0, "knowledge": "unknown"},
        {"needs_tool": True, "domain": "d"},
    ]
    assert all(task.tools == ("search",) for task in marked)


def test_the_crossing_counts_every_question_once():
    def outcome(needed, calls, correct):
        return Outcome("q", "", "", "", needed, correct, calls)

    outcomes = [
        outcome(False, 2, True),
        outcome(False, 0, True),
        outcome(False, 0, False),
        outcome(True, 1, False),
        outcome(None, 0, True),
    ]
    summary = summarise(outcomes)
    assert summary.crossing == {
        "within": {
            "called": {"questions": 1, "correct": 1},
            "not_called": {"questions": 2, "correct": 1},
        },
        "beyond": {
            "called": {"questions": 1, "correct": 0},
            "not_called": {"questions": 0, "correct": 0},
        },
        "unlabelled": {
            "called": {"questions": 0, "correct": 0},
            "not_called": {"questions": 1, "correct": 1},
        },
    }
    assert summary.overuse == pytest.approx(1 / 3)
    assert summary.to_record("p", 0)["crossing"] == summary.crossing


def test_the_table_of_a_probe_counts_labels():
    found = list(label_knowledge([sample("a", True), sample("b", False), sample("c", False)]).values())
    output = io.StringIO()
    Console(file=output, width=80).print(knowledge_table("[red]x", found, Thresholds()))
    lines = {line.split()[0]: line.split() for line in output.getvalue().splitlines() if line.split()}
    assert lines["known"][1:5] == ["from", "75%", "1", "33.3"]
    assert lines["unknown"][1:6] == ["up", "to", "25%", "2", "66.7"]
    assert "[red]x" in output.getvalue()


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
