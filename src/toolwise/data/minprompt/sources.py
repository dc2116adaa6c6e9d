"""Texts from files: plain text, JSONL, Parquet, SQuAD and MRQA; what cannot be read is counted and named."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data.minprompt.stage import Left

SourceFormat = Literal["txt", "rows", "squad", "mrqa"]
TEXT_FIELDS = ("text", "context", "content", "passage", "contents")
"""Fields of a row that may hold its text, first found first taken."""
SUFFIXES = (".txt", ".md", ".jsonl", ".parquet", ".json", ".gz")
_BLANK = re.compile(r"\n[ \t\r]*\n\s*")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to look for facts in: a paragraph.

    Attributes:
        id: Unique within the run.
        text: As it stands in the source.
        source: The file.
    """

    id: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the source with its answers.

    Attributes:
        id: As the source gives it.
        question: The question.
        answers: Accepted answers, the first one is trained on.
        context: The paragraph that it is asked about.
        group: What must not be split: the article in SQuAD, the context elsewhere.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    context: str
    group: str = ""


def source_files(place: Path) -> list[Path]:
    """The files of a folder that can be read, in the order of their names; or the file itself.

    Raises:
        ToolwiseError: There is none.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise ToolwiseError("does not exist", where=str(place), mend="check the path")
    found = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix in SUFFIXES)
    if not found:
        raise ToolwiseError(
            f"holds no file that ends in {', '.join(SUFFIXES)}", where=str(place), mend="give another folder"
        )
    return found


def format_of(path: Path) -> SourceFormat:
    """What a file is, by its suffix and its first bytes.

    Raises:
        ToolwiseError: It is nothing of this.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".txt", ".md")):
        return "txt"
    if name.endswith(".parquet"):
        return "rows"
    if name.endswith(".jsonl"):
        with _opened(path) as file:
            first = file.readline(1 << 20)
        return "mrqa" if b'"header"' in first[:2000] else "rows"
    if name.endswith(".json"):
        return "squad"
    raise ToolwiseError("has no known suffix", where=str(path), mend=f"give one of {', '.join(SUFFIXES)}")


def read_texts(path: Path, name: str) -> Iterator[Text | Left]:
    """The paragraphs of one file, and what could not be used.

    Args:
        path: The file.
        name: How ids begin.

    Raises:
        ToolwiseError: The file as a whole cannot be read.
    """
    kind = format_of(path)
    if kind == "txt":
        yield from _plain(path, name)
        return
    if kind == "rows":
        yield from _rows(path, name)
        return
    seen: set[str] = set()
    for number, (context, _, _) in enumerate(_paragraphs(path, kind), start=1):
        if isinstance(context, Left):
            yield context
        elif context not in seen:
            seen.add(context)
            yield Text(f"{name}:{number}", context, str(path))


def read_questions(path: Path) -> tuple[list[Question], list[Left]]:
    """The questions of a SQuAD or MRQA file, and what could not be used; blanks are collapsed.

    Raises:
        ToolwiseError: The file cannot be read, or has no questions.
    """
    kind = format_of(path)
    if kind not in ("squad", "mrqa"):
        raise ToolwiseError("has no questions", where=str(path), mend="give a SQuAD or an MRQA file")
    found: list[Question] = []
    left: list[Left] = []
    for number, (context, entries, group) in enumerate(_paragraphs(path, kind), start=1):
        if isinstance(context, Left):
            left.append(context)
            continue
        for entry in entries:
            question, answers = _question(entry)
            identity = str(entry.get("qid") or entry.get("id") or f"{number}")
            if not question or not answers:
                left.append(Left("no question or no answer", identity))
                continue
            clean = collapsed(context)
            found.append(Question(identity, question, answers, clean, group or clean))
    if not found:
        raise ToolwiseError("holds no question with an answer", where=str(path), mend="is it the right file?")
    return found, left


def collapsed(text: str) -> str:
    """Single blanks, none at the ends."""
    return " ".join(text.split())


def decoded(data: bytes) -> tuple[str, str]:
    """Text and encoding of a file: UTF-8, a byte-order mark's, or the one that fits best.

    Raises:
        ToolwiseError: It is no text.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return _strict(data, encoding), encoding
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(data).best()
        if best is None:
            raise ToolwiseError("is no text in an encoding that is known", mend="save it as UTF-8") from None
        return str(best), best.encoding
    if "\0" in text:
        raise ToolwiseError("holds zero bytes, so it is no text", mend="give a text file")
    return text, "utf-8"


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ToolwiseError(f"is broken {encoding}: {error.reason}", mend="save it as UTF-8") from error


def _plain(path: Path, name: str) -> Iterator[Text | Left]:
    with _opened(path) as file:
        data = file.read()
    try:
        text, encoding = decoded(data)
    except ToolwiseError as error:
        yield Left("file that is no text", name, error.problem)
        return
    if not text.strip():
        yield Left("empty file", name)
        return
    if encoding not in ("utf-8", "utf-8-sig"):
        yield Left("(read, though not in UTF-8)", name, encoding)
    for number, part in enumerate(_BLANK.split(text.replace("\r\n", "\n")), start=1):
        if part.strip():
            yield Text(f"{name}:{number}", part.strip(), str(path))


def _rows(path: Path, name: str) -> Iterator[Text | Left]:
    empty = True
    for row in read_rows(path):
        empty = False
        identity = f"{name}:{row.number}"
        if row.problem:
            yield Left("row that cannot be read", identity, row.problem)
            continue
        record = row.record
        text: Any = record if isinstance(record, str) else None
        if isinstance(record, Mapping):
            text = next((record[key] for key in TEXT_FIELDS if key in record), None)
        if not isinstance(text, str):
            yield Left("row without a text", identity, f"none of {', '.join(TEXT_FIELDS)} holds one")
        elif not text.strip():
            yield Left("empty text", identity)
        else:
            yield Text(identity, text, str(path))
    if empty:
        yield Left("empty file", name)


def _paragraphs(path: Path, kind: SourceFormat) -> Iterator[tuple[Any, list[Any], str]]:
    """Context (or what is wrong), questions and article of each paragraph."""
    if kind == "squad":
        with _opened(path) as file:
            data = file.read()
        try:
            whole = json.loads(data.decode("utf-8"))
            articles = whole["data"]
            for article in articles:
                for paragraph in article["paragraphs"]:
                    yield paragraph["context"], list(paragraph.get("qas", ())), str(article.get("title", ""))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ToolwiseError(
                f"is no SQuAD file: {type(error).__name__} {error}", where=str(path), mend="get it again"
            ) from error
        return
    with _opened(path) as file:
        next(iter(file), None)  # the header
        for number, line in enumerate(file, start=2):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                context, entries = record["context"], list(record["qas"])
                if not isinstance(context, str):
                    raise TypeError("context is not a text")
            except (ValueError, KeyError, TypeError) as error:
                problem = f"{type(error).__name__} {error}"
                yield Left("row that cannot be read", f"{path.name}:{number}", problem), [], ""
                continue
            yield context, entries, ""


def _question(entry: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(entry, Mapping):
        return "", ()
    given = entry.get("answers") or []
    texts = [answer.get("text", "") if isinstance(answer, Mapping) else answer for answer in given]
    answers = [collapsed(text) for text in texts if isinstance(text, str) and text.strip()]
    return collapsed(str(entry.get("question", ""))), tuple(answers)


def _opened(path: Path) -> Any:
    try:
        return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise ToolwiseError(
            f"cannot be opened: {error.strerror}", where=str(path), mend="check who may read it"
        ) from error
