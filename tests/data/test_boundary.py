"""Boundary filtering: what the model knows goes, what it does not know stays, and all is counted."""

from __future__ import annotations

import pytest

from toolwise.core import Task, ToolwiseError
from toolwise.data.boundary import keep_beyond_knowledge


def probed(name, label, share):
    info = {"knowledge": label, "known_share": share}
    return Task(name, ({"role": "user", "content": f"{name}?"},), answer="x", info=info)


TASKS = [probed("a", "known", 1.0), probed("b", "uncertain", 0.5), probed("c", "unknown", 0.125)]


def test_what_is_known_goes():
    found = keep_beyond_knowledge(TASKS)
    assert [row["id"] for row in found.kept] == ["b", "c"]
    assert found.dropped == ({"id": "a", "reason": "known", "known_share": 1.0},)
    assert found.counts == {"known": 1, "uncertain": 1, "unknown": 1, "not probed": 0}
    assert [Task.from_record(row) for row in found.kept] == TASKS[1:]


def test_other_rows_are_filtered_by_their_ids():
    rows = [{"id": "c", "messages": []}, {"id": "z", "messages": []}, {"id": "b", "messages": []}]
    found = keep_beyond_knowledge(TASKS, rows, ("unknown",))
    assert found.kept == (rows[0],)
    assert [(row["id"], row["reason"]) for row in found.dropped] == [("z", "not probed"), ("b", "uncertain")]


def test_what_cannot_be_filtered_is_refused():
    with pytest.raises(ToolwiseError, match="'q' has no label"):
        keep_beyond_knowledge([Task("q", ({"role": "user", "content": "?"},))])
    with pytest.raises(ToolwiseError, match="nothing stays: 1 known"):
        keep_beyond_knowledge(TASKS[:1])
    with pytest.raises(ToolwiseError, match="row 1 has no id"):
        keep_beyond_knowledge(TASKS, [{"text": "x"}])
