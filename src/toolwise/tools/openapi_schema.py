"""From the schemas of an OpenAPI or Swagger document to JSON schema 2020-12."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from toolwise.core import ToolwiseError

_MAX_PARTS = 20_000
_DROPPED = frozenset(
    {"xml", "externalDocs", "discriminator", "example", "deprecated", "readOnly", "writeOnly"}
)
_SCHEMAS = frozenset(
    {"items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else"}
)
_NUMBERS = frozenset(
    {"minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems"}
    | {"minProperties", "maxProperties"}
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPPINGS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


class DocumentReferences:
    """The ``$ref``s of one document; none ever leads out of it.

    Args:
        document: The whole document.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        resource = DRAFT202012.create_resource(dict(document))
        self._resolver = Registry().with_resource("", resource).resolver()

    def found(self, reference: str) -> Any:
        """What a reference names.

        Raises:
            ToolwiseError: It leads nowhere, or out of the document.
        """
        if not reference.startswith("#"):
            raise ToolwiseError(
                f"$ref '{reference[:200]}' leads out of the document", mend="put everything into one file"
            )
        try:
            return self._resolver.lookup(reference).contents
        except (Unresolvable, ValueError, TypeError, LookupError) as error:
            raise ToolwiseError(
                f"$ref '{reference[:200]}' leads nowhere", mend="mend the document"
            ) from error

    def resolved(self, part: Any) -> Any:
        """The part itself, or what it refers to, over several steps.

        Raises:
            ToolwiseError: A reference leads nowhere, out of the document, or in a circle.
        """
        seen: set[str] = set()
        while isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
            if part["$ref"] in seen:
                raise ToolwiseError(
                    f"$ref '{part['$ref'][:200]}' leads in a circle", mend="mend the document"
                )
            seen.add(part["$ref"])
            part = self.found(part["$ref"])
        return part


class SchemaConverter:
    """Makes the JSON schemas of one operation; what they refer to is collected in `definitions`.

    Args:
        references: Of the document.

    Attributes:
        definitions: Name → schema, for ``$defs``.
    """

    def __init__(self, references: DocumentReferences) -> None:
        self._references = references
        self._names: dict[str, str] = {}
        self._parts = 0
        self.definitions: dict[str, Any] = {}

    def converted(self, schema: Any) -> Any:
        """A schema as JSON schema.

        ``nullable``, boolean ``exclusiveMinimum`` and the words of OpenAPI that JSON schema does not know are
        rewritten or dropped; properties that only the server writes (``readOnly``) are left out.

        Raises:
            ToolwiseError: A reference leads nowhere or out of the document, or the schema is too large.
        """
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise ToolwiseError(f"its schema has more than {_MAX_PARTS} parts", mend="leave it out")
        if not isinstance(schema, Mapping):
            # Published documents write truth values as text here and there.
            return {"true": True, "false": False}.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema.get("$ref"), str):
            return {"$ref": f"#/$defs/{self._defined(schema['$ref'])}"}
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _DROPPED or str(key).startswith("x-"):
                continue
            if key in _SCHEMAS:
                made[key] = self.converted(value)
            elif key in _LISTS and isinstance(value, list):
                made[key] = [self.converted(part) for part in value]
            elif key in _MAPPINGS and isinstance(value, Mapping):
                made[key] = {name: self.converted(part) for name, part in value.items()}
            else:
                made[key] = value
        self._leave_out_read_only(schema, made)
        return _modern(made)

    def _leave_out_read_only(self, schema: Mapping[str, Any], made: dict[str, Any]) -> None:
        given = schema.get("properties")
        if not isinstance(given, Mapping):
            return
        only_read = [
            name for name, part in given.items() if isinstance(part, Mapping) and part.get("readOnly") is True
        ]
        for name in only_read:
            del made["properties"][name]
        if isinstance(made.get("required"), list):
            made["required"] = [name for name in made["required"] if name not in only_read]

    def _defined(self, reference: str) -> str:
        if reference not in self._names:
            name = re.sub(r"[^A-Za-z0-9_.-]+", "_", reference.rpartition("/")[2]) or "schema"
            while name in self.definitions:
                name += "_"
            self._names[reference] = name
            # A schema may refer to itself: its name stands before its content does.
            self.definitions[name] = True
            self.definitions[name] = self.converted(self._references.found(reference))
        return self._names[reference]


def _modern(schema: dict[str, Any]) -> dict[str, Any]:
    for key in _NUMBERS & schema.keys():
        # Published documents write numbers as text here and there.
        if isinstance(schema[key], str) and re.fullmatch(r"-?\d+(\.\d+)?", schema[key]):
            schema[key] = float(schema[key]) if "." in schema[key] else int(schema[key])
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
    if isinstance(schema.get("required"), bool):  # of a parameter, not of a schema
        del schema["required"]
    if schema.get("type") == "file":
        schema["type"] = "string"
    if schema.pop("nullable", False) is True:
        if isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
            if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
                schema["enum"] = [*schema["enum"], None]
        else:
            described = {key: schema.pop(key) for key in ("title", "description") if key in schema}
            schema = described | {"anyOf": [schema, {"type": "null"}]}
    return schema
