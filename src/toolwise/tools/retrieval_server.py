"""A small server that lets others search an index, with the protocol of Search-R1's retriever."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.tools.passages import Retriever

PATH = "/retrieve"
MAX_REQUEST_BYTES = 1 << 20
MAX_QUERIES = 1024
MAX_TOP_K = 100
_IDLE = 30.0  # Seconds after which a silent connection is closed.


def retrieval_server(
    retriever: Retriever, *, host: str = "127.0.0.1", port: int = 8000, top_k: int = 3
) -> ThreadingHTTPServer:
    """A server that answers ``POST /retrieve``; ``serve_forever`` runs it, ``server_address`` says where.

    It is made for a trusted network: whoever reaches it may search. See `HTTPRetriever` for the protocol.

    Args:
        retriever: What is searched; several threads may do so at once.
        host: Address to listen at.
        port: 0 takes a free one.
        top_k: Passages for a request without ``topk``.

    Raises:
        ToolwiseError: The address is taken, or is none of this machine.
    """

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024  # A whole batch of rollouts may ask at once.

    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() else 0
            if self.path != PATH or size > MAX_REQUEST_BYTES:
                # A client that is still writing reads no answer; one that writes without end gets none.
                self.rfile.read(min(size, 4 * MAX_REQUEST_BYTES))
            if self.path != PATH:
                self._answer(404, {"error": f"post to {PATH}"})
            elif not length.isdecimal() or size > MAX_REQUEST_BYTES:
                self._answer(413, {"error": f"give a Content-Length of at most {MAX_REQUEST_BYTES} bytes"})
            else:
                try:
                    queries, count, scores = _read(self.rfile.read(size), top_k)
                except ValueError as error:
                    self._answer(400, {"error": str(error)})
                else:
                    self._answer(
                        200, {"result": [_found(retriever, query, count, scores) for query in queries]}
                    )

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of each request."""

        def _answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    try:
        return Server((host, port), Handler)
    except OSError as error:
        raise ToolwiseError(
            f"cannot listen: {error.strerror}", where=f"{host}:{port}", mend="choose another --port or --host"
        ) from error


def _read(body: bytes, top_k: int) -> tuple[list[str], int, bool]:
    """Queries, number of passages, and whether scores are wanted.

    Raises:
        ValueError: Says what is wrong with the request.
    """
    try:
        asked = json.loads(body)
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("queries"), list):
        raise ValueError(
            'the body must be {"queries": [text, …], "topk": number, "return_scores": true or false}'
        )
    queries = asked["queries"]
    count = asked.get("topk")
    count = top_k if count is None else count
    if len(queries) > MAX_QUERIES or not all(isinstance(query, str) for query in queries):
        raise ValueError(f"queries must be at most {MAX_QUERIES} texts")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_TOP_K:
        raise ValueError(f"topk must be a whole number from 1 to {MAX_TOP_K}")
    return queries, count, bool(asked.get("return_scores", False))


def _found(retriever: Retriever, query: str, count: int, scores: bool) -> list[dict[str, Any]]:
    documents = [
        ({"id": passage.id, "contents": passage.contents}, score)
        for passage, score in retriever.ranked(query, count)
    ]
    if not scores:
        return [document for document, _ in documents]
    return [{"document": document, "score": score} for document, score in documents]
