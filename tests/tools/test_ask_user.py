from __future__ import annotations

import pytest

from toolwise.core import ErrorKind, Task, ToolCall
from toolwise.tools import Session, Toolbox, ask_user
from toolwise.tools.ask_user import NO_PREFERENCE, reply

PERSONA = {"tea": "green", "iced tea": "with lemon", "Favourite Colour": "blue", "": "never"}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which tea do you like?", "green"),
        ("Which ICED tea do you like, or tea?", "with lemon"),
        ("What is your favourite, colour-wise?", "blue"),
        ("Do you like steak?", NO_PREFERENCE),
        ("", NO_PREFERENCE),
    ],
)
def test_replies(question, answer):
    assert reply(PERSONA, question) == answer


@pytest.mark.parametrize(
    ("info", "content", "error"),
    [
        ({"persona": PERSONA}, "green", None),
        ({}, NO_PREFERENCE, None),
        ({"persona": "moody"}, None, ErrorKind.TOOL_FAILURE),
    ],
)
async def test_the_tool_reads_the_task(info, content, error):
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("ask_user",), info=info))
    result = await Toolbox([ask_user()]).run(ToolCall("ask_user", {"question": "What tea?"}), session)
    assert result.error is error
    assert content is None or result.content == content
    assert set(ask_user().parameters["properties"]) == {"question"}
