"""Replies on disk: the same request is never paid twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.sampling.chat import ChatReply

_PATIENCE = 60.0
"""Seconds to wait for another process that writes."""


def cache_key(base_url: str, body: Mapping[str, Any], seed: int | None) -> str:
    """What tells requests apart: the endpoint, its model, messages, parameters, and the seed, sent or not."""
    text = json.dumps([base_url, body, seed], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class ChatCache:
    """A SQLite file with one JSON reply for each request; several processes may use it at once.

    Args:
        path: The file; it and its folder are made if they are not there.

    Raises:
        ToolwiseError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._blamed():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            with self._blamed():
                self._file.execute("PRAGMA journal_mode = WAL")
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT, reply TEXT) STRICT"
                )
        except ToolwiseError:
            self._file.close()
            raise

    def read(self, key: str) -> ChatReply | None:
        """The reply to a request; None if it was never asked.

        Raises:
            ToolwiseError: What stands there is no reply.
        """
        with self._blamed():
            row = self._file.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
            return None if row is None else _reply_reader().validate_json(row[0])

    def write(self, key: str, model: str, reply: ChatReply) -> None:
        """Keep a reply.

        Raises:
            ToolwiseError: The disk refuses.
        """
        text = json.dumps(asdict(reply), ensure_ascii=False)
        with self._blamed():
            self._file.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, model, text))

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise ToolwiseError(
                f"the cache of replies cannot be used: {error}",
                where=str(self.path),
                mend="check disk and rights, or name another file under 'cache'",
            ) from error


@cache
def _reply_reader() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(ChatReply)
