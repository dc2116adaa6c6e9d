"""QueryCache: answers of a search server on disk, so that a query is asked once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError

FILE = "queries.sqlite"
_WAIT = 30.0  # Seconds for another process to finish its write.


class QueryCache:
    """Keys to JSON values in an SQLite file; threads and processes may share it.

    Args:
        folder: Made if it is not there.

    Raises:
        ToolwiseError: The folder cannot be written, or holds another file of this name.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / FILE
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT)")
        except (OSError, sqlite3.Error) as error:
            raise ToolwiseError(
                f"the cache of queries cannot be opened: {error}",
                where=str(self.path),
                mend="choose another folder, or check disk and rights",
            ) from error

    def get(self, key: Sequence[Any]) -> Any:
        """The value, None if there is none.

        Args:
            key: Of what JSON can hold.
        """
        with self._open() as connection:
            found = connection.execute("SELECT value FROM answers WHERE key = ?", (_text(key),)).fetchone()
        return None if found is None else json.loads(found[0])

    def put(self, key: Sequence[Any], value: Any) -> None:
        """Keep a value that JSON can hold, instead of an earlier one."""
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (_text(key), _text(value)))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # One connection a call: opening takes little beside a request, and no thread shares one.
        with closing(sqlite3.connect(self.path, timeout=_WAIT)) as connection, connection:
            yield connection


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)
