"""From OpenAPI documents to tools."""

from __future__ import annotations

import json

import pytest
import yaml
from openapi_service import DOCUMENT
from pydantic import TypeAdapter, ValidationError

from toolwise.core import ToolwiseError
from toolwise.tools import OpenAPIConfig, ToolConfig, build_toolbox
from toolwise.tools.openapi_document import operations, read_document
from toolwise.tools.schema import arguments_validator


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "pets.yaml"
    path.write_text(DOCUMENT)
    return path


def test_operations_become_tools(document, monkeypatch):
    monkeypatch.setenv("PETS_AUTH", "Bearer abc")
    made = OpenAPIConfig(document=document, base_url="http://x", headers={"Authorization": "PETS_AUTH"})
    toolbox = build_toolbox([made])
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
