"""Calls of tools from OpenAPI documents, to a real server on the loopback interface."""

from __future__ import annotations

import json
import threading
from http.server import ThreadingHTTPServer

import pytest
from openapi_service import DOCUMENT, Service

from toolwise.core import ErrorKind, Task, ToolCall
from toolwise.testing import check_tool
from toolwise.tools import OpenAPIConfig, Session, Tool, Toolbox, build_toolbox


@pytest.fixture(scope="module")
def base_url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    Service.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def document(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    path = tmp_path / "pets.yaml"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def toolbox(document, base_url, monkeypatch):
    monkeypatch.setenv("PETS_AUTH", "Bearer abc")
    made = OpenAPIConfig(
        document=document, base_url=base_url, headers={"Authorization": "PETS_AUTH"}, time_limit=20
    )
    assert "abc" not in made.model_dump_json()
    return build_toolbox([made])


def session_for(toolbox):
    return Session(Task("t", ({"role": "user", "content": "?"},), tools=toolbox.names))


async def ask(toolbox, name, **arguments):
    session = session_for(toolbox)
    result = await toolbox.run(ToolCall(name, arguments), session)
    await session.close()
    return result


async def said(toolbox, name, **arguments):
    result = await ask(toolbox, name, **arguments)
    assert result.error is None, result.content
    return json.loads(result.content)


async def test_arguments_go_where_they_belong(toolbox):
    heard = await said(toolbox, "pets_get", **{"pet id": "a/b ?é", "X-Mood": "glad", "tag": ["good", "bad"]})
    assert heard == {
        "method": "GET",
        "path": "/v1/pets/a%2Fb%20%3F%C3%A9",
        "query": [["tag", "good"], ["tag", "bad"]],
        "mood": "glad",
        "authorization": "Bearer abc",
        "type": None,
        "body": "",
    }
    heard = await said(
        toolbox,
        "GET_search",
        csv=[1, 2],
        pipes=["a", "b"],
        deep={"x": 1},
        spread={"y": "2", "z": None},
        json={"k": [1]},
        on=True,
        low=1.5,
    )
    assert heard["query"] == [
        ["csv", "1,2"],
        ["pipes", "a|b"],
        ["deep[x]", "1"],
        ["y", "2"],
        ["z", ""],
        ["json", '{"k": [1]}'],
        ["on", "true"],
        ["low", "1.5"],
    ]
    heard = await said(
        toolbox, "pets_put", **{"pet id": "7", "body": {"name": "Rex", "friend": {"name": "é"}}}
    )
    assert (heard["method"], heard["type"]) == ("PUT", "application/json")
    assert json.loads(heard["body"]) == {"name": "Rex", "friend": {"name": "é"}}
    heard = await said(toolbox, "form", body={"a": ["x y", "&"]})
    assert (heard["type"], heard["body"]) == ("application/x-www-form-urlencoded", "a=x+y&a=%26")
    heard = await said(toolbox, "text", body="plain")
    assert (heard["type"], heard["body"]) == ("text/plain", "plain")


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "text"),
    [
        ("pets_get", {"pet id": ".."}, ErrorKind.BAD_ARGUMENTS, "cannot stand in a path"),
        ("pets_get", {"pet id": ""}, ErrorKind.BAD_ARGUMENTS, "cannot stand in a path"),
        ("pets_get", {"pet id": "1", "X-Mood": "a\r\nHost: b"}, ErrorKind.BAD_ARGUMENTS, "one line only"),
        ("pets_get", {"pet id": "1", "tag": ["ugly"]}, ErrorKind.BAD_ARGUMENTS, "'tag.0'"),
        ("pets_put", {"pet id": "1", "body": {"friend": {}}}, ErrorKind.BAD_ARGUMENTS, "required"),
        ("away", {}, ErrorKind.TOOL_FAILURE, "another address, which is not followed"),
        ("round", {}, ErrorKind.TOOL_FAILURE, "without end"),
        ("missing", {}, ErrorKind.TOOL_FAILURE, '404 Not Found: {"error": "no such thing"}'),
    ],
)
async def test_what_goes_wrong_is_a_typed_result(toolbox, name, arguments, kind, text):
    result = await ask(toolbox, name, **arguments)
    assert result.error is kind
    assert text in result.content


async def test_answers_are_text_within_bounds(toolbox):
    assert (await said(toolbox, "here"))["query"] == [["moved", "1"]]
    big = await ask(toolbox, "big")
    assert big.error is None
    assert len(big.content) <= 4000
    assert big.content.endswith("[… the rest was not read …]")
    assert (await ask(toolbox, "binary")).content == "[application/octet-stream, 256 bytes]"
    assert (await ask(toolbox, "empty")).content == "(no content, status 204 No Content)"


async def test_cookies_stay_in_their_rollout(toolbox):
    first, second = session_for(toolbox), session_for(toolbox)
    call = ToolCall("cookie")
    assert (await toolbox.run(call, first)).content == "None"
    assert (await toolbox.run(call, first)).content == "seen=1"
    assert (await toolbox.run(call, second)).content == "None"
    branch = first.fork()
    assert (await toolbox.run(call, branch)).content == "seen=1"
    for session in (first, second, branch):
        await session.close()


async def test_a_slow_service_is_not_waited_for(document, base_url):
    made = OpenAPIConfig(document=document, base_url=base_url, operations=["slow"], time_limit=0.3)
    result = await ask(build_toolbox([made]), "slow")
    assert result.error is ErrorKind.TIMEOUT


async def test_a_document_cannot_lead_elsewhere(tmp_path, base_url, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    paths = [
        "//evil.example/x",
        "/..%2f../x",
        "/../up",
        "/\\evil.example",
        "@evil.example/x",
        ".evil.example/x",
    ]
    (tmp_path / "bad.json").write_text(
        json.dumps({"openapi": "3.1.0", "paths": {path: {"get": {"operationId": "go"}} for path in paths}})
    )
    for path in paths:
        made = OpenAPIConfig(
            document=tmp_path / "bad.json", base_url=base_url, operations=[f"GET {path}"], prefix="x_"
        )
        (tool,) = made.build()
        result = await ask(Toolbox([tool]), tool.name)
        if result.error is None:
            assert json.loads(result.content)["path"].startswith("/v1/")
        else:
            assert "leads out of the service" in result.content


def test_tools_keep_the_contract(document, base_url):
    made = OpenAPIConfig(document=document, base_url=base_url, operations=["GET /search"])
    (tool,) = made.build()
    assert isinstance(tool, Tool)
    check_tool(tool, {"csv": [1]})
