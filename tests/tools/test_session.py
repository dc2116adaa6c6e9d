"""What a session holds open for a rollout."""

from __future__ import annotations

import pytest

from toolwise.core import Task
from toolwise.tools import Session, Tool, Toolbox


class Line:
    """Test double of a connection: notes what becomes of it."""

    def __init__(self, name, events, broken=False):
        self.name, self.events, self.broken = name, events, broken
        events.append(f"{name} made")

    async def close(self):
        self.events.append(f"{self.name} closed")
        if self.broken:
            raise RuntimeError(self.name)

    def fork(self):
        return Line(self.name + "'", self.events)


@pytest.fixture
def session():
    return Session(Task("t", ({"role": "user", "content": "?"},)))


async def test_what_is_held_is_made_once_and_closed_in_reverse(session):
    events = []
    first = session.held("a", lambda: Line("a", events))
    assert session.held("a", lambda: Line("not made", events)) is first
    session.held("b", lambda: Line("b", events))
    await session.close()
    await session.close()
    assert events == ["a made", "b made", "b closed", "a closed"]


async def test_one_that_does_not_close_does_not_hold_up_the_others(session):
    events = []
    for name in "abc":
        session.held(name, lambda name=name: Line(name, events, broken=name == "b"))
    with pytest.raises(RuntimeError, match="b"):
        await session.close()
    assert events[3:] == ["c closed", "b closed", "a closed"]


async def test_a_branch_holds_its_own(session):
    events = []
    session.held("a", lambda: Line("a", events))
    branch = session.fork()
    assert branch.held("a", lambda: Line("not made", events)).name == "a'"
    await session.close()
    assert events == ["a made", "a' made", "a closed"]
    await branch.close()
    assert events[3:] == ["a' closed"]


def test_a_toolbox_closes_all_its_tools():
    events = []

    def made(name):
        def close():
            events.append(name)
            if name == "b":
                raise RuntimeError(name)

        return Tool(name, "X.", {"type": "object"}, print, close=close)

    toolbox = Toolbox([made("a"), Tool("plain", "X.", {"type": "object"}, print), made("b"), made("c")])
    with pytest.raises(RuntimeError, match="b"):
        toolbox.close()
    assert sorted(events) == ["a", "b", "c"]
