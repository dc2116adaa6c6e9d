"""The chat client against a real server process on loopback: what goes wrong, what is paid, what is kept."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import ValidationError

from toolwise.core import ToolwiseError
from toolwise.sampling import (
    ChatBudget,
    ChatBudgetError,
    ChatConfig,
    ChatParams,
    ChatUnavailableError,
    ContextLengthError,
    EndpointChat,
)
from toolwise.sampling.chat_limits import Pace, backoff_delay, read_retry_after

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-secret-0123456789abcdef"


def config(server, **values) -> ChatConfig:
    return ChatConfig(**({"base_url": server.url, "model": "frontier-double", "backoff": 0.001} | values))


def ask(client, *texts, **params):
    async def all_of_them():
        return await asyncio.gather(
            *(client.chat([{"role": "user", "content": text}], ChatParams(**params)) for text in texts)
        )

    return [reply.content for reply in asyncio.run(all_of_them())]


async def test_a_reply_is_read_and_the_request_is_as_asked(frontier):
    server = frontier(answers={"hello": "good day"}, thought="be kind")
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}
    params = ChatParams(
        temperature=0.5, max_tokens=7, stop=("END",), seed=2**40 + 5, tools=(tool,), top_p=0.9
    )
    async with EndpointChat(config(server, extra={"reasoning_effort": "low", "top_p": None})) as client:
        reply = await client.chat(HELLO, params)
    assert (reply.content, reply.reasoning_content, reply.finish_reason) == ("good day", "be kind", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.tool_calls) == (5, 2, ())
    assert (client.spending.prompt_tokens, client.spending.completion_tokens) == (5, 2)
    (request,) = server.requests
    assert request["authorization"] is None
    assert request["body"] == {
        "model": "frontier-double",
        "messages": HELLO,
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["END"],
        "seed": 5,
        "tools": [tool],
        "reasoning_effort": "low",
    }


async def test_calls_and_results_are_sent_as_servers_want_them(frontier):
    server = frontier()
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    messages = [
        *HELLO,
        {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [call, call]},
        {"role": "tool", "name": "add", "content": "1"},
        {"role": "tool", "name": "add", "content": "2"},
    ]
    async with EndpointChat(config(server, token_limit_key="max_completion_tokens")) as client:
        reply = await client.chat(messages)
    assert reply.content == "2"
    body = server.requests[0]["body"]
    assert body["max_completion_tokens"] == 1024
    assert "max_tokens" not in body
    said, *results = body["messages"][1:]
    assert "reasoning_content" not in said
    identities = [call["id"] for call in said["tool_calls"]]
    assert [result["tool_call_id"] for result in results] == identities
    assert len(set(identities)) == 2
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", identity) for identity in identities)
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == ['{"a": 1}'] * 2


TROUBLE = {
    "429": {"status": 429, "body": {"error": {"message": "too many"}}, "headers": {"Retry-After": "0.01"}},
    "500": {"status": 500},
    "503 without a body": {"status": 503, "body": ""},
    "not JSON": {"raw": '{"choices": [{"mess'},
    "not a reply": {"raw": '{"choices": []}'},
    "a list": {"raw": "[1, 2]"},
    "nested": {"raw": "[" * 100_000},
    "calls that are none": {"raw": '{"choices": [{"message": {"tool_calls": [7]}}]}'},
    "an error under 200": {"raw": '{"error": {"code": 502, "message": "upstream"}}'},
    "cut connection": {"cut": True},
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE.keys())
def test_what_may_pass_is_tried_again(frontier, trouble):
    server = frontier(plan=[trouble, trouble], answers={"hello": "at last"})
    client = EndpointChat(config(server))
    assert ask(client, "hello") == ["at last"]
    assert len(server.requests) == 3
    assert client.spending.requests == 3


def test_an_answer_that_takes_too_long_is_given_up_and_asked_for_again(frontier):
    server = frontier(plan=[{"slow": 3600}], answers={"hello": "at last"})
    client = EndpointChat(config(server, timeout=3))
    assert ask(client, "hello") == ["at last"]
    assert client.spending.requests >= 2
    with pytest.raises(ChatUnavailableError, match=r"no answer within 0\.1 s"):
        ask(EndpointChat(config(frontier(plan=[{"slow": 3600}]), timeout=0.1, retries=0)), "hello")


def test_tries_come_to_an_end_and_the_error_says_what_was_last(frontier):
    server = frontier(plan=[{"status": 500}] * 2 + [{"status": 503, "body": {"error": "overloaded"}}])
    with pytest.raises(ChatUnavailableError, match=r"3 tries, the last time: status 503: overloaded"):
        ask(EndpointChat(config(server, retries=2)), "hello")
    assert len(server.requests) == 3


def test_nobody_listens(frontier):
    server = frontier()
    server.stop()
    with pytest.raises(ChatUnavailableError, match="ConnectError"):
        ask(EndpointChat(config(server, retries=1)), "hello")


def test_a_server_that_asks_for_an_hour_is_not_waited_for(frontier):
    server = frontier(plan=[{"status": 429, "headers": {"Retry-After": "3600"}}])
    with pytest.raises(ChatUnavailableError, match="asks to wait 3,600 s"):
        ask(EndpointChat(config(server)), "hello")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "status, error, part",
    [
        (400, {"message": "unknown key seed"}, "extra"),
        (401, {"message": "who are you"}, "api_key_env"),
        (404, {"message": "no such model"}, "base_url"),
        (429, {"message": "pay", "code": "insufficient_quota"}, "nothing left"),
        (301, {}, "status 301"),
    ],
)
def test_what_will_not_pass_is_said_at_once(frontier, status, error, part):
    server = frontier(plan=[{"status": status, "body": {"error": error}}])
    with pytest.raises(ToolwiseError, match=part) as caught:
        ask(EndpointChat(config(server)), "hello")
    assert error.get("message", "") in str(caught.value)
    assert len(server.requests) == 1


def test_a_conversation_that_is_too_long_has_an_error_of_its_own(frontier):
    with pytest.raises(ContextLengthError, match="too long"):
        ask(EndpointChat(config(frontier(window=3))), "hello")


def test_no_more_than_allowed_are_asked_at_once(frontier):
    server = frontier(always_slow=0.05)
    ask(EndpointChat(config(server, concurrency=3)), *map(str, range(12)))
    log = server.log()
    assert len(log["requests"]) == 12
    assert log["most_at_once"] <= 3


def test_a_budget_of_requests_is_exact_and_counts_new_tries(frontier):
    server = frontier(plan=[{}, {"status": 500}])
    client = EndpointChat(config(server, budget=ChatBudget(requests=3)))
    assert len(ask(client, "a")) == 1
    assert len(ask(client, "b")) == 1  # two requests: one failed
    with pytest.raises(ChatBudgetError, match=r"3 of 3 requests[\s\S]*budget\.requests"):
        ask(client, "c")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "budget, name",
    [
        (ChatBudget(tokens=10), "tokens"),
        (ChatBudget(cost=0.02, input_price=1000, output_price=3000), "cost"),
    ],
)
def test_a_budget_stops_before_the_request_after_the_last_token(frontier, budget, name):
    # Each asks with 5 tokens and is answered with 1: 6 tokens, or 5 * 0.001 + 1 * 0.003 = 0.008.
    server = frontier(answers={"*": "yes"})
    client = EndpointChat(config(server, budget=budget))
    paid = 2 if name == "tokens" else 3
    for number in range(paid):
        ask(client, f"hell{number}")
    with pytest.raises(ChatBudgetError, match=name):
        ask(client, "hell9")
    assert len(server.requests) == paid
    if name == "cost":
        assert client.spending.cost == pytest.approx(0.024)
        assert "cost 0.0240" in client.spending.said()


def test_a_budget_of_tokens_needs_a_server_that_counts(frontier):
    client = EndpointChat(config(frontier(usage=False), budget=ChatBudget(tokens=100)))
    with pytest.raises(ChatBudgetError, match="does not say how many tokens"):
        ask(client, "hello")


def test_a_second_run_pays_nothing(frontier, tmp_path):
    server = frontier(answers={"*": ["zero", "one"]})
    settings = config(server, cache=tmp_path / "deep" / "cache.sqlite")
    program = (
        "import asyncio, sys\n"
        "from toolwise.sampling import ChatConfig, ChatParams, EndpointChat\n"
        "client = EndpointChat(ChatConfig.model_validate_json(sys.argv[1]))\n"
        "messages = [{'role': 'user', 'content': 'hello'}]\n"
        "for seed in (0, 1):\n"
        "    print(asyncio.run(client.chat(messages, ChatParams(seed=seed))).content)\n"
        "print(client.spending.requests, client.spending.cached)\n"
    )

    def run():
        command = [sys.executable, "-W", "error", "-c", program, settings.model_dump_json()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()

    assert run() == ["zero", "one", "2", "0"]
    assert run() == ["zero", "one", "0", "2"]
    assert len(server.requests) == 2
    # Anything else asks anew: another model, other words, other parameters, another seed, another extra.
    client = EndpointChat(settings)
    ask(client, "hello", seed=1)
    assert client.spending.requests == 0
    ask(client, "hello", seed=2)
    ask(client, "hello", seed=1, max_tokens=7)
    ask(client, "hello!", seed=1)
    ask(EndpointChat(settings.model_copy(update={"model": "another"})), "hello", seed=1)
    ask(EndpointChat(settings.model_copy(update={"extra": {"seed": None}})), "hello", seed=1)
    ask(EndpointChat(settings.model_copy(update={"extra": {"seed": None}})), "hello", seed=2)
    assert len(server.requests) == 8


def test_failures_are_not_kept(frontier, tmp_path):
    server = frontier(plan=[{"status": 500}])
    settings = config(server, cache=tmp_path / "cache.sqlite", retries=0)
    with pytest.raises(ChatUnavailableError):
        ask(EndpointChat(settings), "hello")
    assert ask(EndpointChat(settings), "hello") == ["I do not know."]


def test_a_file_that_is_no_cache_is_refused(frontier, tmp_path):
    path = tmp_path / "cache.sqlite"
    path.write_text("not a database, and long enough to tell " * 10)
    with pytest.raises(ToolwiseError, match=r"cache\.sqlite: the cache of replies cannot be used"):
        ask(EndpointChat(config(frontier(), cache=path)), "hello")
    path.unlink()
    settings = config(frontier(), cache=path)
    ask(EndpointChat(settings), "hello")
    with sqlite3.connect(path) as file:
        file.execute("UPDATE replies SET reply = '[]'")
    file.close()
    with pytest.raises(ToolwiseError, match="cannot be used"):
        ask(EndpointChat(settings), "hello")


def test_the_key_is_sent_and_gets_nowhere_else(frontier, tmp_path, monkeypatch):
    monkeypatch.setenv("FRONTIER_KEY", f" {KEY}\n")
    refusal = {"status": 401, "body": {"error": {"message": f"wrong key {KEY}"}}}
    server = frontier(plan=[refusal, {"raw": f"no JSON but {KEY}"}], echo=True)
    settings = config(server, api_key_env="FRONTIER_KEY", cache=tmp_path / "kept" / "cache.sqlite")
    client = EndpointChat(settings)
    with pytest.raises(ToolwiseError, match=r"wrong key \*\*\*") as caught:
        ask(client, "hello")
    shown = f"{caught.value!r} {client!r} {vars(caught.value)} {settings!r} {settings.model_dump_json()}"
    assert KEY not in shown
    assert "FRONTIER_KEY" in str(caught.value)
    assert ask(client, "hello") == ["I do not know. Bearer ***"]
    assert {request["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    kept = list((tmp_path / "kept").iterdir())
    assert kept
    assert not any(KEY.encode() in path.read_bytes() for path in kept)


def test_a_key_that_is_not_there(frontier, monkeypatch):
    monkeypatch.delenv("FRONTIER_KEY", raising=False)
    with pytest.raises(ToolwiseError, match="environment variable FRONTIER_KEY: is not set"):
        EndpointChat(config(frontier(), api_key_env="FRONTIER_KEY"))
    monkeypatch.setenv("FRONTIER_KEY", "schlüssel")
    with pytest.raises(ToolwiseError, match="something else than a key") as caught:
        EndpointChat(config(frontier(), api_key_env="FRONTIER_KEY"))
    assert "schlüssel" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"base_url": f"https://user:{KEY}@host/v1"},
        {"base_url": f"https://host/v1?key={KEY}"},
        {"base_url": "http://host/v1/chat/completions"},
        {"base_url": "ftp://host/v1"},
        {"base_url": "host:8000/v1"},
        {"base_url": "http://[/v1"},
        {"base_url": "http://host /v1"},
        {"api_key_env": KEY},
        {"extra": {"messages": []}},
        {"budget": {"cost": 1.0}},
        {"concurrency": 0},
        {"modle": "x"},
    ],
)
def test_configurations_that_are_refused(values):
    with pytest.raises(ValidationError):
        ChatConfig(**({"base_url": "http://host/v1", "model": "m"} | values))


def test_one_client_serves_several_event_loops_and_leaves_nothing_open(frontier, tmp_path):
    server = frontier(answers={"*": "yes"})
    client = EndpointChat(config(server, cache=tmp_path / "cache.sqlite"))

    def open_files():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    ask(client, "warm")
    before = open_files()
    for number in range(3):
        assert ask(client, *(f"{number} {part}" for part in range(5))) == ["yes"] * 5
    assert open_files() == before


async def test_a_closed_client_opens_again(frontier):
    client = EndpointChat(config(frontier(answers={"*": "yes"})))
    assert (await client.chat(HELLO)).content == "yes"
    await client.aclose()
    await client.aclose()
    assert (await client.chat(HELLO)).content == "yes"
    await client.aclose()


async def test_half_a_character_does_not_get_through(frontier):
    server = frontier(answers={"*": "a\ud800b"})
    async with EndpointChat(config(server)) as client:
        assert (await client.chat([{"role": "user", "content": "\ud800"}])).content == "a?b"


def test_pace_spaces_requests_evenly():
    now = [100.0]
    pace = Pace(30, clock=lambda: now[0])
    assert [pace.delay() for _ in range(3)] == [0, 2, 4]
    now[0] += 60
    assert [pace.delay() for _ in range(2)] == [0, 2]
    assert [Pace(None).delay() for _ in range(3)] == [0, 0, 0]


def test_backoff_doubles_up_to_a_minute_and_honours_the_server():
    assert [backoff_delay(attempt, 1.0, None, 1.0) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff_delay(3, 1.0, None, 0.0) == 4
    assert backoff_delay(0, 1.0, 30.0, 0.5) == 30
    assert backoff_delay(5, 1.0, 1.0, 0.0) == 16


def test_retry_after_is_a_number_or_a_date():
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert read_retry_after("2.5") == 2.5
    assert read_retry_after(format_datetime(now + timedelta(seconds=90)), now) == 90
    assert read_retry_after(format_datetime(now - timedelta(seconds=90)), now) == 0
    assert [read_retry_after(text) for text in (None, "soon", "nan", "inf", "-3")] == [None] * 4 + [0]
