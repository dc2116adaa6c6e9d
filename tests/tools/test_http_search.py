"""Search over HTTP: a real server on loopback, with the published protocol, and servers that misbehave."""

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError

import pytest

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import (
    HTTPRetriever,
    HTTPSearchConfig,
    QueryCache,
    SearchIndex,
    Session,
    Toolbox,
    ToolError,
    build_toolbox,
    retrieval_server,
)

INDEX = SearchIndex.from_texts(
    ["Ada lives in Arden.", "The river of Arden\nis the Wend.", "Bo lives in Corvo."], ["Ada", "Arden", "Bo"]
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/retrieve"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def served():
    with running(retrieval_server(INDEX, port=0)) as url:
        yield url


@contextmanager
def answering(*answers):
    """A server that gives these (status, body) in turn, the last one for ever; and the requests it got.

    Without a status it says nothing, without a body it breaks off in the middle.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = answers[min(len(asked), len(answers)) - 1]
            if status is None:
                release.wait(30)
                return
            self.send_response(status)
            self.send_header("Content-Length", "9" if body is None else str(len(body)))
            self.end_headers()
            self.wfile.write(b"half" if body is None else body)

        def log_message(self, format, *arguments):
            pass

    release = threading.Event()
    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        try:
            yield url, asked
        finally:
            release.set()


def documents(*contents):
    found = [{"document": {"id": "0", "contents": text}, "score": 2.0} for text in contents]
    return 200, json.dumps({"result": [found]}).encode()


def post(url, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as response:
        return json.loads(response.read())


async def search(config, query):
    toolbox = build_toolbox([config])
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("search",)))
    return await toolbox.run(ToolCall("search", {"query": query}), session)


def test_the_server_speaks_the_published_protocol(served):
    asked = {"queries": ["river arden", "corvo"], "topk": 2, "return_scores": True}
    river, corvo = post(served, asked)["result"]
    assert [entry["document"]["contents"] for entry in corvo] == ["Bo\nBo lives in Corvo."]
    assert river[0]["document"] == {"id": "1", "contents": "Arden\nThe river of Arden\nis the Wend."}
    assert [entry["score"] for entry in river] == [score for _, score in INDEX.ranked("river arden", 2)]
    # Without scores the documents stand alone; without topk there are three of them at most.
    (plain,) = post(served, {"queries": ["arden lives"]})["result"]
    assert {"id": "0", "contents": "Ada\nAda lives in Arden."} in plain
    assert len(plain) == 3


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/other", {"queries": ["a"]}, 404),
        ("/retrieve", {"queries": "a"}, 400),
        ("/retrieve", {"queries": [1]}, 400),
        ("/retrieve", {"queries": ["a"], "topk": 0}, 400),
        ("/retrieve", {"queries": ["a"], "topk": True}, 400),
        ("/retrieve", [], 400),
        ("/retrieve", b"no json", 400),
        ("/retrieve", b"[" * 100_000, 400),
        ("/retrieve", b" " * ((1 << 20) + 1), 413),
    ],
)
def test_requests_that_cannot_be_answered(served, path, body, status):
    with pytest.raises(HTTPError) as caught:
        post(served.replace("/retrieve", path), body)
    with caught.value as error:
        assert error.code == status
        assert json.loads(error.read())["error"]


def test_an_address_that_is_taken_is_said_to_be(served):
    port = int(served.split(":")[2].split("/")[0])
    with pytest.raises(ToolwiseError, match=r"127\.0\.0\.1:\d+: cannot listen"):
        retrieval_server(INDEX, port=port)


async def test_the_tool_reads_as_the_local_one_does(served):
    result = await search(HTTPSearchConfig(url=served, top_k=1, layout="search_r1"), "river")
    assert (result.content, result.error) == ("Doc 1(Title: Arden) The river of Arden\nis the Wend.", None)
    result = await search(HTTPSearchConfig(url=served), "zebra")
    assert (result.content, result.error) == ("No passage was found.", None)


def test_passages_and_scores_are_those_of_the_index(served):
    found = HTTPRetriever(served).ranked("arden lives", 3)
    ours = INDEX.ranked("arden lives", 3)
    assert [(p.title, p.text, score) for p, score in found] == [(p.title, p.text, score) for p, score in ours]


def test_what_fails_in_passing_is_tried_again():
    with answering((503, b""), (429, b""), documents("Arden\nA town.")) as (url, asked):
        ((passage, score),) = HTTPRetriever(url).ranked("arden", 3)
    assert (passage.title, passage.text, score) == ("Arden", "A town.", 2.0)
    assert asked == [{"queries": ["arden"], "topk": 3, "return_scores": True}] * 3


def test_an_answer_that_breaks_off_is_tried_again():
    with answering((200, None), documents("Arden\nA town.")) as (url, asked):
        ((passage, _),) = HTTPRetriever(url).ranked("arden", 3)
    assert (passage.title, len(asked)) == ("Arden", 2)


@pytest.mark.parametrize(
    ("answers", "attempts", "problem"),
    [
        ([(404, b"")], 1, "status 404"),
        ([(500, b"")], 2, "status 500"),
        ([(200, b"<html>")], 1, "not JSON"),
        ([(200, b"[" * 100_000)], 1, "not JSON"),
        ([(200, b"{}")], 1, "has not the form"),
        ([(200, b'{"result": []}')], 1, "has not the form"),
        ([(200, b'{"result": [[{"document": {"contents": 1}}]]}')], 1, "has not the form"),
        ([(200, b'{"result": [[{"document": {"contents": "a"}, "score": "x"}]]}')], 1, "has not the form"),
        ([(200, b'{"result": [["a"]]}')], 1, "has not the form"),
    ],
)
async def test_failures_are_typed_results(answers, attempts, problem):
    with answering(*answers) as (url, asked):
        result = await search(HTTPSearchConfig(url=url, retries=1), "a")
    assert result.error is ErrorKind.TOOL_FAILURE
    assert problem in result.content
    assert len(asked) == attempts


async def test_nobody_there_is_a_failure_and_silence_a_timeout():
    with answering((None, b"")) as (url, _):
        result = await search(HTTPSearchConfig(url=url, time_limit=0.2), "a")
    assert result.error in (ErrorKind.TIMEOUT, ErrorKind.TOOL_FAILURE)
    assert "time" in result.content or "took longer" in result.content
    # The server is gone now.
    result = await search(HTTPSearchConfig(url=url, retries=0), "a")
    assert result.error is ErrorKind.TOOL_FAILURE
    assert "cannot be reached" in result.content


def test_an_answer_without_bound_is_not_read(monkeypatch):
    monkeypatch.setattr("toolwise.tools.http_retriever.MAX_ANSWER_BYTES", 100)
    with answering(documents("x" * 200)) as (url, _), pytest.raises(ToolError, match="more than 100 bytes"):
        HTTPRetriever(url).ranked("a", 1)


def test_documents_without_scores_are_read_too():
    body = json.dumps({"result": [[{"contents": "Arden\nA town."}]]}).encode()
    with answering((200, body)) as (url, _):
        ((passage, score),) = HTTPRetriever(url).ranked("arden", 1)
    assert (passage.title, passage.text, score) == ("Arden", "A town.", 0.0)


async def test_what_stands_in_the_cache_is_not_asked_again(tmp_path):
    with answering(documents("Arden\nA town."), (500, b"")) as (url, asked):
        config = HTTPSearchConfig(url=url, cache=tmp_path / "cache", retries=0)
        first = await search(config, "arden \ud83c\udf0d'; DROP TABLE answers")
        again = await search(config, "arden \ud83c\udf0d'; DROP TABLE answers")
        assert (again.content, again.error) == (first.content, None)
        assert len(asked) == 1
        # Another query or another number of passages is another question; a failure is not kept.
        for other in (config, config.model_copy(update={"top_k": 5})):
            assert (await search(other, "corvo")).error is ErrorKind.TOOL_FAILURE
        assert (await search(config, "corvo")).error is ErrorKind.TOOL_FAILURE
        assert len(asked) == 4


def test_threads_share_a_cache(tmp_path):
    cache = QueryCache(tmp_path / "deep" / "cache")

    def work(number):
        for place in range(20):
            cache.put([number, place], {"n": number * place})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = QueryCache(tmp_path / "deep" / "cache")
    assert all(other.get([n, place]) == {"n": n * place} for n in range(4) for place in range(20))
    assert other.get(["unknown"]) is None
    other.put([0, 0], "new")
    assert cache.get([0, 0]) == "new"


def test_a_cache_that_cannot_be_opened(tmp_path):
    (tmp_path / "queries.sqlite").write_text("this is no database, but a text that is long enough")
    with pytest.raises(ToolwiseError, match="the cache of queries cannot be opened"):
        QueryCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolwiseError, match="choose another folder"):
        HTTPSearchConfig(url="http://127.0.0.1/retrieve", cache=tmp_path / "file").build()


def test_search_over_http_is_not_run_on_the_event_loop():
    box = build_toolbox([HTTPSearchConfig(url="http://127.0.0.1:1/retrieve", time_limit=3)])
    assert isinstance(box, Toolbox)
    assert (box["search"].inline, box["search"].time_limit) == (False, 3)
