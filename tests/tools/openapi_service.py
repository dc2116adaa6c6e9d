"""A web service on the loopback interface, and the OpenAPI document that describes it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

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
