"""The operations of an OpenAPI 3 or Swagger 2 document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.tools.openapi_schema import DocumentReferences, SchemaConverter
from toolwise.tools.schema import arguments_validator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
JSON_BODY, FORM_BODY, TEXT_BODY = "application/json", "application/x-www-form-urlencoded", "text/plain"

_STYLES = {
    "path": {"simple"},
    "query": {"form", "spaceDelimited", "pipeDelimited", "deepObject"},
    "header": {"simple"},
}
_COLLECTIONS = {
    "csv": ("form", False),
    "ssv": ("spaceDelimited", False),
    "pipes": ("pipeDelimited", False),
    "multi": ("form", True),
}
# Of OpenAPI 3, "Parameter Object": these are said elsewhere; the others say where the request goes and ends.
_NO_HEADERS = frozenset(
    {"accept", "content-type", "authorization", "host", "cookie", "content-length", "transfer-encoding"}
    | {"connection", "upgrade", "te", "trailer", "expect", "forwarded"}
)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an argument goes in the request.

    Attributes:
        argument: What the model calls it.
        name: What the service calls it.
        place: ``path``, ``query`` or ``header``.
        style: How arrays and objects are written (OpenAPI 3, "Style Values").
        explode: Whether each of their elements is a parameter of its own.
        as_json: Whether the value is written as JSON.
    """

    argument: str
    name: str
    place: str
    style: str
    explode: bool
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as a tool.

    Attributes:
        name: Its ``operationId``, or its method and path.
        description: What the model reads.
        method: In capitals.
        path: With its ``{parameters}``.
        parameters: JSON schema of all arguments.
        placed: Where they go.
        body: The argument that becomes the body; empty: none.
        body_type: Its media type.
    """

    name: str
    description: str
    method: str
    path: str
    parameters: dict[str, Any]
    placed: tuple[Placed, ...]
    body: str = ""
    body_type: str = ""

    @property
    def route(self) -> str:
        """Method and path, such as ``GET /pets/{id}``."""
        return f"{self.method} {self.path}"


def read_document(path: Path) -> dict[str, Any]:
    """The document in a JSON or YAML file.

    Raises:
        ToolwiseError: It cannot be read.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ToolwiseError(
            f"cannot be read: {error}", where=str(path), mend="give an OpenAPI document in JSON or YAML"
        ) from error
    if not isinstance(document, dict):
        raise ToolwiseError(
            f"is a {type(document).__name__}", where=str(path), mend="give an OpenAPI document"
        )
    return document


def operations(
    document: Mapping[str, Any], without: frozenset[str] = frozenset()
) -> tuple[list[Operation], dict[str, str]]:
    """All operations of a document that can be called, and for the others the reason why not.

    Args:
        document: OpenAPI 3.0 or 3.1, or Swagger 2.0.
        without: Headers (in small letters) that are not the model's to fill.

    Returns:
        The operations, and ``METHOD /path`` → reason.

    Raises:
        ToolwiseError: It is no such document.
    """
    version = str(document.get("openapi") or document.get("swagger") or "")
    paths = document.get("paths")
    if not re.match(r"(2\.0|3\.[01])", version) or not isinstance(paths, Mapping):
        raise ToolwiseError(
            f"version '{version[:20]}' and {type(paths).__name__} as its paths",
            mend="give a document of OpenAPI 3.0 or 3.1, or of Swagger 2.0",
        )
    reader = _Reader(document, without)
    found: list[Operation] = []
    failures: dict[str, str] = {}
    for path, given in paths.items():
        try:
            item = reader.references.resolved(given)
        except ToolwiseError as error:
            failures[str(path)] = error.problem
            continue
        if not isinstance(item, Mapping):
            failures[str(path)] = f"its path item is a {type(item).__name__}"
            continue
        for method, operation in item.items():
            if method not in METHODS:
                continue
            route = f"{method.upper()} {path}"
            try:
                found.append(reader.operation(method.upper(), str(path), item, operation))
            except ToolwiseError as error:
                failures[route] = error.problem
            except RecursionError:
                failures[route] = "it is nested too deeply"
    return found, failures


def _yaml(text: str) -> Any:
    """YAML 1.2, as OpenAPI asks for: ``on`` and ``2020-01-01`` are text."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    truth = re.compile(r"^(?:true|false)$", re.I)
    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, truth if tag.endswith(":bool") else pattern)
            for tag, pattern in resolvers
            if not tag.endswith(":timestamp")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(text, Loader)


class _Reader:
    def __init__(self, document: Mapping[str, Any], without: frozenset[str]) -> None:
        self.references = DocumentReferences(document)
        self.consumes = document.get("consumes")
        self.without = _NO_HEADERS | without

    def operation(self, method: str, path: str, item: Mapping[str, Any], given: Any) -> Operation:
        if not isinstance(given, Mapping):
            raise ToolwiseError(f"it is a {type(given).__name__}")
        converter = SchemaConverter(self.references)
        properties: dict[str, Any] = {}
        required: list[str] = []
        placed: list[Placed] = []
        body = body_type = ""
        form: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        for parameter in self._parameters(item, given):
            place, name = parameter["in"], parameter["name"]
            if place == "body":  # Swagger 2
                body, body_type = "body", self._consumed(given)
                properties[body] = self._described(parameter, converter)
                required += [body] * (parameter.get("required") is True)
            elif place == "formData":  # Swagger 2
                form["properties"][name] = self._described(parameter, converter)
                form["required"] += [name] * (parameter.get("required") is True)
            elif (spot := self._placed(parameter, set(properties))) is not None:
                properties[spot.argument] = self._described(parameter, converter)
                required += [spot.argument] * (place == "path" or parameter.get("required") is True)
                placed.append(spot)
        if form["properties"]:
            body, body_type, properties["body"] = "body", FORM_BODY, form
            required += ["body"] * bool(form["required"])
        if "requestBody" in given:
            body, body_type = self._body(given["requestBody"], properties, required, converter)
        self._check_path(path, placed)
        parameters: dict[str, Any] = {"type": "object", "properties": properties}
        if required:
            parameters["required"] = required
        parameters["additionalProperties"] = False
        if converter.definitions:
            parameters["$defs"] = converter.definitions
        arguments_validator(parameters, "")
        name = given.get("operationId")
        name = name if isinstance(name, str) and name.strip() else f"{method} {path}"
        return Operation(
            name,
            _words(given, item) or name,
            method,
            path,
            parameters,
            tuple(placed),
            body,
            body_type,
        )

    def _parameters(self, item: Mapping[str, Any], given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Of the path and of the operation, which goes first; each with a name and a place."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for source in (item, given):
            listed = source.get("parameters") or []
            if not isinstance(listed, list):
                raise ToolwiseError(f"its parameters are a {type(listed).__name__}")
            for entry in listed:
                parameter = self.references.resolved(entry)
                if not isinstance(parameter, Mapping) or not all(
                    isinstance(parameter.get(key), str) for key in ("name", "in")
                ):
                    raise ToolwiseError("a parameter has no 'name' or no 'in'")
                found[(parameter["in"], parameter["name"])] = parameter
        return list(found.values())

    def _placed(self, parameter: Mapping[str, Any], taken: set[str]) -> Placed | None:
        """Where it goes; None for what is left out."""
        place, name = parameter["in"], parameter["name"]
        if place == "header" and name.lower() in self.without:
            return None
        if place not in _STYLES:
            if parameter.get("required") is True:
                raise ToolwiseError(f"it needs the {place} parameter '{name}', which cannot be given")
            return None
        style = parameter.get("style") or ("form" if place == "query" else "simple")
        explode = parameter.get("explode", style in ("form", "deepObject")) is True
        if "collectionFormat" in parameter or ("type" in parameter and "schema" not in parameter):
            style, explode = _COLLECTIONS.get(str(parameter.get("collectionFormat", "csv")), ("", False))
            style = "simple" if place != "query" and style == "form" else style
        if style not in _STYLES[place]:
            raise ToolwiseError(f"the style '{style}' of its {place} parameter '{name}' is not known")
        argument = name if name not in taken else f"{place}_{name}"
        if argument in taken or argument == "body":
            raise ToolwiseError(f"two of its parameters would be called '{argument}'")
        return Placed(argument, name, place, style, explode, "content" in parameter)

    def _described(self, parameter: Mapping[str, Any], converter: SchemaConverter) -> Any:
        schema = parameter.get("schema")
        content = parameter.get("content")
        if schema is None and isinstance(content, Mapping):
            schema = next(
                (media.get("schema") for media in content.values() if isinstance(media, Mapping)), {}
            )
        if schema is None:  # Swagger 2: the schema stands in the parameter itself
            own = {"name", "in", "description", "required", "style", "explode", "collectionFormat"}
            dropped = own | {"allowEmptyValue", "allowReserved", "examples", "content"}
            schema = {key: value for key, value in parameter.items() if key not in dropped}
        made = converter.converted(schema)
        text = parameter.get("description")
        if isinstance(text, str) and text.strip() and isinstance(made, dict):
            made = made | {"description": " ".join(text.split())}
        return made

    def _consumed(self, given: Mapping[str, Any]) -> str:
        consumes = given.get("consumes") or self.consumes or [JSON_BODY]
        return _usable(consumes if isinstance(consumes, list) else [])

    def _body(
        self, given: Any, properties: dict[str, Any], required: list[str], converter: SchemaConverter
    ) -> tuple[str, str]:
        body = self.references.resolved(given)
        content = body.get("content") if isinstance(body, Mapping) else None
        if not isinstance(content, Mapping):
            raise ToolwiseError("its request body has no 'content'")
        needed = body.get("required") is True
        try:
            kind = _usable(list(content))
        except ToolwiseError:
            if needed:
                raise
            return "", ""
        media = content[kind]
        described = {"schema": media.get("schema", {}) if isinstance(media, Mapping) else {}}
        properties["body"] = self._described(described | {"description": body.get("description")}, converter)
        required += ["body"] * needed
        return "body", kind

    def _check_path(self, path: str, placed: list[Placed]) -> None:
        named = set(re.findall(r"\{([^{}]*)\}", path))
        given = {spot.name for spot in placed if spot.place == "path"}
        if named != given:
            odd = ", ".join(sorted(named ^ given))
            raise ToolwiseError(f"its path and its path parameters do not agree on: {odd}")


def _usable(kinds: list[Any]) -> str:
    """The media type of a body that can be written: JSON before forms before text."""
    for wanted in (
        lambda kind: kind == JSON_BODY or kind.endswith("+json"),
        FORM_BODY.__eq__,
        TEXT_BODY.__eq__,
    ):
        for kind in kinds:
            if wanted(str(kind).partition(";")[0].strip().lower()):
                return str(kind)
    if "*/*" in kinds:
        return "*/*"
    raise ToolwiseError(f"its body can only be {', '.join(map(str, kinds)) or 'nothing'}, which is not known")


def _words(given: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for source in (given, item):
        for key in ("summary", "description"):
            text = source.get(key)
            if isinstance(text, str) and text.strip():
                text = " ".join(text.split())
                if not any(text.rstrip(".") in part for part in parts):
                    parts.append(text)
        if parts:
            break
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in parts)
