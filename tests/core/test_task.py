"""Task.from_record by itself: rollouts and pages read tasks without the readers of files."""

from __future__ import annotations

import pytest

from toolwise.core import Task, ToolwiseError


@pytest.mark.parametrize("tools", [3, "search", {"name": "search"}, [3], True])
def test_tools_of_a_wrong_type_are_refused_by_name(tools):
    with pytest.raises(ToolwiseError, match=r"field 'tools' is not a list of names or schemas") as caught:
        Task.from_record({"id": "a", "prompt": "x", "tools": tools}, where="t.jsonl, row 2")
    assert caught.value.where == "t.jsonl, row 2"
    assert caught.value.mend


@pytest.mark.parametrize("tools", [None, [], ["search"], [{"name": "search"}], ("search",)])
def test_tools_as_they_may_be(tools):
    assert Task.from_record({"id": "a", "prompt": "x", "tools": tools}).tools == tuple(tools or ())
