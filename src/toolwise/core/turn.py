"""Turn: one message together with the tokens it added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolwise.core.errors import ErrorKind


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the policy wrote it; ``error`` is set when it could not be read.

    ``id`` is the one that the policy gave it, in dialects whose calls have ids.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    error: ErrorKind | None = None
    detail: str = ""
    id: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        record: dict[str, Any] = {"name": self.name, "arguments": dict(self.arguments)}
        if self.error is not None:
            record |= {"error": str(self.error), "detail": self.detail}
        return record | ({"id": self.id} if self.id else {})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ToolCall:
        """Inverse of `to_record`."""
        error = record.get("error")
        return cls(
            record["name"],
            record["arguments"],
            ErrorKind(error) if error else None,
            record.get("detail", ""),
            record.get("id", ""),
        )


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave back: the text that the model reads, and what went wrong, if anything did.

    ``id`` is that of the call.
    """

    name: str
    content: str
    error: ErrorKind | None = None
    seconds: float = 0.0
    id: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        error = str(self.error) if self.error is not None else None
        record = {"name": self.name, "content": self.content, "error": error, "seconds": self.seconds}
        return record | ({"id": self.id} if self.id else {})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ToolResult:
        """Inverse of `to_record`."""
        error = record.get("error")
        return cls(
            record["name"],
            record["content"],
            ErrorKind(error) if error else None,
            record.get("seconds", 0.0),
            record.get("id", ""),
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """One message with the tokens it added to the context. Tokens are recorded once and never re-made.

    Attributes:
        role: ``prompt`` (everything before the first generation), ``assistant`` or ``tool``.
        token_ids: The tokens this turn added, shape (L,).
        text: Their text, special tokens included.
        sampled: True if the policy wrote these tokens; policy gradients touch only such turns.
        logprobs: Log-probability of each token when it was sampled, shape (L,); empty if not sampled.
        weights: Supervised weight of each token, shape (L,), each ≥ 0; empty means 1 on every token of
            an assistant turn and 0 elsewhere.
        thought: What stood in the think block.
        calls: Tool calls read from the text, broken ones included (with their error).
        results: For a tool turn, the result of each call, in the order of the calls.
        answer: The final answer, if this turn gave one.
        error: What was wrong with the turn as a whole.
        seconds: Wall-clock time spent on it.
        content: What an assistant turn says without the tokens that end it; None where the dialect does not
            tell them apart.
        words: What an assistant turn with calls says beside them and its thought.
    """

    role: str
    token_ids: tuple[int, ...]
    text: str = ""
    sampled: bool = False
    logprobs: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    answer: str | None = None
    error: ErrorKind | None = None
    seconds: float = 0.0
    content: str | None = None
    words: str = ""

    def __post_init__(self) -> None:
        """Check that what stands beside the tokens has their length."""
        if self.sampled and len(self.logprobs) != len(self.token_ids):
            raise ValueError(f"{len(self.logprobs)} logprobs for {len(self.token_ids)} sampled tokens")
        if self.weights and len(self.weights) != len(self.token_ids):
            raise ValueError(f"{len(self.weights)} weights for {len(self.token_ids)} tokens")

    @property
    def said(self) -> str:
        """`content`, or the text where no dialect has told them apart."""
        return self.text if self.content is None else self.content

    @property
    def supervised_weights(self) -> tuple[float, ...]:
        """Weight of each token in supervised training, shape (L,)."""
        if self.weights:
            return self.weights
        return (1.0 if self.role == "assistant" else 0.0,) * len(self.token_ids)

    def to_record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "role": self.role,
            "text": self.text,
            "content": self.content,
            "words": self.words,
            "thought": self.thought,
            "calls": [call.to_record() for call in self.calls],
            "results": [result.to_record() for result in self.results],
            "answer": self.answer,
            "error": str(self.error) if self.error is not None else None,
            "seconds": self.seconds,
            "sampled": self.sampled,
            "token_ids": list(self.token_ids),
            "logprobs": list(self.logprobs),
            "weights": list(self.weights),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Turn:
        """Inverse of `to_record`."""
        error = record.get("error")
        return cls(
            role=record["role"],
            token_ids=tuple(record["token_ids"]),
            text=record["text"],
            sampled=record["sampled"],
            logprobs=tuple(record["logprobs"]),
            weights=tuple(record.get("weights", ())),
            thought=record.get("thought", ""),
            calls=tuple(ToolCall.from_record(call) for call in record["calls"]),
            results=tuple(ToolResult.from_record(result) for result in record["results"]),
            answer=record.get("answer"),
            error=ErrorKind(error) if error else None,
            seconds=record.get("seconds", 0.0),
            content=record.get("content"),
            words=record.get("words", ""),
        )
