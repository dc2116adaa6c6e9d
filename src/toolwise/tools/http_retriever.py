"""HTTPRetriever: a search server with the protocol of Search-R1's retriever."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from toolwise.tools.passages import Passage
from toolwise.tools.query_cache import QueryCache
from toolwise.tools.tool import ToolError

MAX_ANSWER_BYTES = 8 << 20
_PAUSE = 0.2
_TRANSIENT = (429, 500, 502, 503, 504)


class HTTPRetriever:
    """Asks a server with one POST a query, and reads the title of a passage from its first line.

    Asked is ``{"queries": [query], "topk": k, "return_scores": true}``. The answer has a list for each query:
    ``{"result": [[{"document": {"contents": …}, "score": …}, …]]}``.

    Args:
        url: Of the server, ``http://…`` or ``https://…``, its path included (``/retrieve`` as published).
        time_limit: Seconds for a search, attempts and pauses together, > 0.
        retries: Further attempts after one that failed in passing (no connection, status 429 or 5xx), ≥ 0.
        cache: Answers are looked up here first, and kept here.
    """

    def __init__(
        self, url: str, *, time_limit: float = 10.0, retries: int = 2, cache: QueryCache | None = None
    ) -> None:
        self.url, self.time_limit, self.retries, self.cache = url, time_limit, retries, cache

    def ranked(self, query: str, top_k: int) -> list[tuple[Passage, float]]:
        """See `Retriever`."""
        key = [self.url, top_k, query]
        found = self.cache.get(key) if self.cache is not None else None
        if found is None:
            found = _results(self._ask({"queries": [query], "topk": top_k, "return_scores": True}))
            if self.cache is not None:
                self.cache.put(key, found)
        return [(Passage.from_contents(str(place), text), score) for place, (text, score) in enumerate(found)]

    def _ask(self, body: Mapping[str, Any]) -> Any:
        request = Request(
            self.url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        end = time.monotonic() + self.time_limit
        problem = "no attempt was made"
        for attempt in range(self.retries + 1):
            left = end - time.monotonic()
            if left <= 0:
                break
            try:
                with urlopen(request, timeout=left) as response:
                    answer = response.read(MAX_ANSWER_BYTES + 1)
                    # A bounded read says nothing of an answer that ends too early.
                    missing = len(answer) <= MAX_ANSWER_BYTES and response.length
            except HTTPError as error:
                error.close()
                problem = f"it answered with status {error.code}"
                if error.code not in _TRANSIENT:
                    break
            except (URLError, OSError, HTTPException) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            else:
                if not missing:
                    return _decoded(answer)
                problem = "its answer broke off"
            time.sleep(max(0.0, min(_PAUSE * 2**attempt, end - time.monotonic())))
        raise ToolError(f"the search engine cannot be reached: {problem}")


def _decoded(answer: bytes) -> Any:
    if len(answer) > MAX_ANSWER_BYTES:
        raise ToolError(f"the search engine's answer has more than {MAX_ANSWER_BYTES} bytes")
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ToolError("the search engine's answer is not JSON") from error


def _results(answer: Any) -> list[tuple[str, float]]:
    """Contents and score of each document; the answer may be anything."""
    try:
        (documents,) = answer["result"]
        found = []
        for entry in documents:
            # Without scores, the entry is the document itself.
            document = entry.get("document", entry)
            if not isinstance(document["contents"], str):
                raise TypeError("contents is no text")
            found.append((document["contents"], float(entry.get("score", 0.0))))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(
            'the search engine\'s answer has not the form {"result": [[{"document": {"contents": …}}]]}'
        ) from error
    return found
