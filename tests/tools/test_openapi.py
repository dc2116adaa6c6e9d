"""Tools from OpenAPI documents: conversion, and calls of a real server on the loopback interface."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.testing import check_tool
from toolwise.tools import OpenAPIConfig, Session, Tool, Toolbox, ToolConfig, build_toolbox
from toolwise.tools.openapi_document import operations, read_document
from toolwise.tools.schema import arguments_validator

DOCUMENT = """
openapi: 3.0.3
info: {title: Pets, version: "1"}
servers: [{url: "https://elsewhere.example"}]
paths:
  /pets/{pet id}:
    parameters:
      - {name: pet id, in: path, required: true, schema: {type: string}, description: Which  one.}
    get:
      operationId: pets.get
      summary: Read a pet
      description: Read a pet. With all that is known.
      parameters:
        - {name: X-Mood, in: header, schema: {type: string}}
        - {name: Authorization, in: header, required: true, schema: {type: string}}
        - {name: trace, in: cookie, schema: {type: string}}
        - {$ref: "#/components/parameters/Tags"}
    put:
      operationId: pets.put
      description: Change a pet
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Pet"}}
  /search:
    get:
      description: Search
      parameters:
        - {name: csv, in: query, style: form, explode: false, schema: {type: array, items: {type: integer}}}
        - {name: pipes, in: query, style: pipeDelimited, schema: {type: array, items: {type: string}}}
        - {name: deep, in: query, style: deepObject, schema: {type: object}}
        - {name: spread, in: query, schema: {type: object}}
        - {name: json, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: on, in: query, schema: {type: boolean}}
        - {name: low, in: query, schema: {type: number, minimum: 0, exclusiveMinimum: true, nullable: true}}
    post:
      operationId: form
      requestBody:
        content:
          application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: array}}}}
  /text: {post: {operationId: text, requestBody: {content: {text/plain: {schema: {type: string}}}}}}
  /here: {get: {operationId: here}}
  /round: {get: {operationId: round}}
  /away: {get: {operationId: away}}
  /big: {get: {operationId: big}}
  /binary: {get: {operationId: binary}}
  /empty: {delete: {operationId: empty}}
  /missing: {get: {operationId: missing}}
  /cookie: {get: {operationId: cookie}}
  /slow: {get: {operationId: slow}}
components:
  parameters:
    Tags: {name: tag, in: query, schema: {type: array, items: {$ref: "#/components/schemas/Tag"}}}
  schemas:
    Tag: {type: string, enum: [good, bad]}
    Pet:
      type: object
      required: [id, name]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, example: Rex}
        friend: {$ref: "#/components/schemas/Pet"}
"""


class Service(BaseHTTPRequestHandler):
    """Says what it was asked, or misbehaves."""

    stop = threading.Event()

    def answer(self, status, text=b"", kind="application/json", **headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        path = urlsplit(self.path).path.removeprefix("/v1")
        size = int(self.headers.get("Content-Length") or 0)
        if path == "/here":
            self.answer(307, Location="/v1/search?moved=1")
        elif path == "/round":
            self.answer(302, Location="/v1/round")
        elif path == "/away":
            self.answer(302, Location=f"http://localhost:{self.server.server_port}/v1/secret")
        elif path == "/big":
            self.answer(200, b'"' + b"x" * 3_000_000 + b'"')
        elif path == "/binary":
            self.answer(200, bytes(range(256)), "application/octet-stream")
        elif path == "/empty":
            self.answer(204)
        elif path == "/missing":
            self.answer(404, b'{"error": "no such thing"}')
        elif path == "/cookie":
            self.answer(200, str(self.headers.get("Cookie")).encode(), "text/plain", Set_Cookie="seen=1")
        elif path == "/slow":
            self.stop.wait(30)
        else:
            said = {
                "method": self.command,
                "path": urlsplit(self.path).path,
                "query": parse_qsl(urlsplit(self.path).query, keep_blank_values=True),
                "mood": self.headers.get("X-Mood"),
                "authorization": self.headers.get("Authorization"),
                "type": self.headers.get("Content-Type"),
                "body": self.rfile.read(size).decode(),
            }
            self.answer(200, json.dumps(said).encode())

    do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, *ignored):
        """Nothing."""


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


def test_operations_become_tools(toolbox):
    assert toolbox.names[:3] == ("pets_get", "pets_put", "GET_search")
    tool = toolbox["pets.get"]
    assert tool.description == "Read a pet. Read a pet. With all that is known."
    # The header that the run fills, and cookies, are not the model's.
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "pet id": {"type": "string", "description": "Which one."},
            "X-Mood": {"type": "string"},
            "tag": {"type": "array", "items": {"$ref": "#/$defs/Tag"}},
        },
        "required": ["pet id"],
        "additionalProperties": False,
        "$defs": {"Tag": {"type": "string", "enum": ["good", "bad"]}},
    }
    # A schema may refer to itself; what only the service writes is left out.
    pet = toolbox["pets_put"].parameters
    assert pet["properties"]["body"] == {"$ref": "#/$defs/Pet"}
    assert pet["$defs"]["Pet"] == {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "friend": {"$ref": "#/$defs/Pet"}},
    }
    low = toolbox["GET_search"].parameters["properties"]["low"]
    assert low == {"type": ["number", "null"], "exclusiveMinimum": 0}


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
    # Whoever is first, the limit of the call or of the read inside it, the model reads that it took too long.
    assert result.error in (ErrorKind.TIMEOUT, ErrorKind.TOOL_FAILURE)


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


def one(**operation):
    return {"openapi": "3.0.0", "paths": {"/x/{id}": {"get": operation}}}


ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (one(), "do not agree on: id"),
        (one(parameters=[ID | {"style": "matrix"}]), "style 'matrix'"),
        (one(parameters=[ID, {"name": "s", "in": "cookie", "required": True}]), "cookie parameter 's'"),
        (one(parameters=[{"$ref": "#/nowhere"}]), "'#/nowhere' leads nowhere"),
        (one(parameters=[{"$ref": "http://evil.example/x.json"}]), "leads out of the document"),
        (one(parameters=[{"$ref": "#/paths/~1x~1{id}/get/parameters/0"}]), "leads in a circle"),
        (one(parameters=[ID | {"schema": {"$ref": "other.json"}}]), "leads out of the document"),
        (one(parameters=[ID | {"schema": {"type": "wish"}}]), "not a JSON schema"),
        (one(parameters="id"), "its parameters are a str"),
        (one(parameters=[{"in": "query"}]), "has no 'name'"),
        (one(parameters=[ID], requestBody={"required": True, "content": {"image/png": {}}}), "image/png"),
        (one(parameters=[ID], requestBody={}), "no 'content'"),
        ({"openapi": "3.0.0", "paths": {"/x": {"get": "y"}}}, "it is a str"),
    ],
)
def test_operations_that_cannot_be_called_are_named(document, reason):
    found, failures = operations(document)
    assert found == []
    (failure,) = failures.values()
    assert reason in failure


def test_swagger_2():
    schema = {"type": "object", "properties": {"name": {"$ref": "#/definitions/Name"}}}
    parameters = [
        {"name": "id", "in": "path", "required": True, "type": "integer", "description": "Which."},
        {
            "name": "many",
            "in": "query",
            "type": "array",
            "items": {"type": "string"},
            "collectionFormat": "multi",
        },
        {"name": "few", "in": "query", "type": "array", "items": {"type": "string"}},
        {"name": "what", "in": "body", "required": True, "schema": schema},
    ]
    found, failures = operations(
        {
            "swagger": "2.0",
            "paths": {
                "/x/{id}": {
                    "post": {"parameters": parameters, "consumes": ["text/html", "application/vnd.a+json"]},
                    "put": {
                        "parameters": [parameters[0], {"name": "f", "in": "formData", "type": "string"}],
                        "consumes": ["application/x-www-form-urlencoded"],
                    },
                }
            },
            "definitions": {"Name": {"type": "string"}},
        }
    )
    assert failures == {}
    post, put = found
    assert post.parameters["properties"]["id"] == {"type": "integer", "description": "Which."}
    assert post.parameters["required"] == ["id", "body"]
    assert post.parameters["$defs"] == {"Name": {"type": "string"}}
    assert [(spot.name, spot.style, spot.explode) for spot in post.placed] == [
        ("id", "simple", False),
        ("many", "form", True),
        ("few", "form", False),
    ]
    assert (post.body, post.body_type) == ("body", "application/vnd.a+json")
    assert put.body_type == "application/x-www-form-urlencoded"
    assert put.parameters["properties"]["body"]["properties"] == {"f": {"type": "string"}}


def test_equal_names_in_two_places_are_told_apart():
    query = {"name": "id", "in": "query", "schema": {"type": "integer"}}
    ((operation,), failures) = operations(one(parameters=[ID, query]))
    assert failures == {}
    assert list(operation.parameters["properties"]) == ["id", "query_id"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[1]", "is a list"),
        ("a: b", "version ''"),
        ("openapi: 4.0.0\npaths: {}", "version '4.0.0'"),
        ("openapi: 3.0.0\npaths: {}", "0 of 0 operations"),
        (
            "openapi: 3.0.0\npaths: {/x: {get: y}}",
            r"1 of 1 operations cannot be called\n  GET /x: it is a str",
        ),
        (
            "openapi: 3.0.0\npaths: {/x: {get: {operationId: a b}}, /y: {get: {operationId: a.b}}}",
            "'a b' and 'a.b' would both be written 'a_b'",
        ),
    ],
)
def test_documents_that_are_of_no_use_are_refused(tmp_path, text, problem):
    path = tmp_path / "doc.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ToolwiseError, match=problem):
        build_toolbox([OpenAPIConfig(document=path, base_url="http://127.0.0.1")])


def test_operations_can_be_chosen(document):
    def names(*wanted):
        made = OpenAPIConfig(
            document=document, base_url="https://api.example", operations=wanted, prefix="p_"
        )
        return build_toolbox([made]).names

    assert names("pets.put", "GET /search", "PUT /pets/{pet id}") == ("p_pets_put", "p_GET_search")
    with pytest.raises(ToolwiseError, match=r"no operation is called 'fly'\n→ there are: pets.get"):
        names("fly")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"base_url": "ftp://x"}, "http://HOST"),
        ({"base_url": "https://user@x"}, "does not belong into the address"),
        ({"base_url": "https://x y"}, "blank"),
        ({"base_url": "https://x", "headers": {"Host": "A"}}, "not yours to set"),
        ({"base_url": "https://x", "headers": {"Authorization": "Bearer abc"}}, "headers"),
        ({"base_url": "https://x", "operations": []}, "operations"),
    ],
)
def test_bad_configurations_are_refused(fields, problem):
    with pytest.raises(ValidationError, match=problem):
        TypeAdapter(ToolConfig).validate_python({"type": "openapi", "document": "x.json"} | fields)


def published(folder):
    for path in sorted((folder / "restbench" / "specs").glob("*.json")):
        yield path.name, read_document(path)
    for path in sorted((folder / "toolalpaca").glob("eval_*.json")):
        for api in json.loads(path.read_text()):
            yield f"{path.name}: {api['Name']}", yaml.safe_load(api["Documentation"])


@pytest.mark.data
def test_published_documents_can_be_converted(shared_dir):
    failures: dict[str, str] = {}
    count = 0
    for name, document in published(shared_dir / "data"):
        found, failed = operations(document)
        failures |= {f"{name}: {route}": reason for route, reason in failed.items()}
        assert found, name
        for operation in found:
            count += 1
            arguments_validator(operation.parameters, operation.name)
            # Every reference leads somewhere: a call is checked to its end.
            reachable = json.dumps(operation.parameters)
            for definition in operation.parameters.get("$defs", {}):
                assert f'"#/$defs/{definition}"' in reachable
    assert failures == {}, f"{len(failures)} of {count + len(failures)} operations cannot be called"
    assert count >= 84
