"""Outputs of a benchmark on disk: files of predictions, and what a run that was stopped has already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.core.records import Row, read_rows
from toolwise.data.reading import read_all
from toolwise.evaluation.benchmarks import Output
from toolwise.systems.result_file import drop_torn_line, writing


def read_predictions(path: str | Path) -> dict[str, Output]:
    """Outputs by item: JSONL or Parquet with ``id``, ``output`` and perhaps ``tool_calls``.

    ``output`` is what `Output.from_value` reads: a text, a list of calls, an OpenAI-style message, or a list
    of turns; ``tool_calls`` is the number of calls until the answer.

    Raises:
        ToolwiseError: The file cannot be read, or lists the rows that cannot be used.
    """
    path = Path(path)
    return {made.id: made.output for made in read_all(path, read_rows(path), _prediction)}


@dataclass(frozen=True, slots=True)
class _Prediction:
    id: str
    output: Output


def _prediction(row: Row) -> _Prediction:
    record = row.record
    if not isinstance(record, Mapping):
        raise ToolwiseError("is no object", mend='write {"id": …, "output": …}')
    if unknown := sorted(record.keys() - {"id", "output", "tool_calls"}):
        raise ToolwiseError(f"field '{unknown[0]}' is not known", mend="known are id, output and tool_calls")
    if not isinstance(record.get("id"), str) or "output" not in record:
        raise ToolwiseError("field 'id' or 'output' is missing", mend='write {"id": …, "output": …}')
    calls = record.get("tool_calls")
    if calls is not None and (isinstance(calls, bool) or not isinstance(calls, int) or calls < 0):
        raise ToolwiseError(f"field 'tool_calls' is {calls!r}", mend="write a whole number from 0")
    return _Prediction(record["id"], Output.from_value(record["output"], calls))


def prediction_record(identity: str, output: Output) -> dict[str, Any]:
    """The line of a file of predictions; `read_predictions` reads it."""
    return {"id": identity, "output": _written(output), "tool_calls": output.tool_calls}


def _written(output: Output) -> Any:
    """What `Output.from_value` reads."""
    if output.turns is not None:
        return [[_written(step) for step in turn] for turn in output.turns]
    written: Any = output.text
    if output.given_calls is not None:
        calls = [{"name": c.name, "arguments": dict(c.arguments)} for c in output.given_calls]
        broken = any(call.error for call in output.given_calls)
        # Broken calls keep their text, so that they are broken again when they are read.
        written = output.text if broken else {"content": output.text, "tool_calls": calls}
    return written


class UnfinishedOutputs:
    """The outputs of a run as they are finished, beside the file of predictions that they will become.

    Args:
        predictions: That file.
        fingerprint: Of model, settings and items; outputs of another one are not taken.

    Attributes:
        path: Where they stand.
        found: The outputs that were there, by item.

    Raises:
        OSError: The disk refuses.
    """

    def __init__(self, predictions: Path, fingerprint: str) -> None:
        self.path = predictions.with_suffix(".unfinished.jsonl")
        self.found: dict[str, Output] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(self.path)
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if lines[:1] != [opening := json.dumps({"run": fingerprint})]:
            self.path.write_text(opening + "\n", encoding="utf-8")
            return
        for number, line in enumerate(lines[1:], start=2):
            made = _prediction(Row(number, json.loads(line)))
            self.found[made.id] = made.output

    def add(self, identity: str, output: Output) -> None:
        """Append one output.

        Raises:
            ToolwiseError: The disk refuses.
        """
        line = json.dumps(prediction_record(identity, output)) + "\n"
        with writing(self.path.parent), self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def remove(self) -> None:
        """The file of predictions is there now."""
        self.path.unlink()


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; the file is there whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    unfinished.replace(path)
