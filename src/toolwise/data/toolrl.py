"""ToolRL's data from public conversations (arXiv 2504.13958, §4): single steps, and the published mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolwise.core import Task, ToolwiseError, seed_for
from toolwise.core.records import Row
from toolwise.data.demonstrations import Demonstration
from toolwise.data.function_calling import masked, toolace_conversation, xlam_conversation
from toolwise.data.json_list import list_rows
from toolwise.data.reading import read_all
from toolwise.dialects import toolrl_prompt, toolrl_turn, with_thought

Source = Literal["toolace", "xlam", "hammer"]
PUBLISHED_MIX: Mapping[Source, int] = {"toolace": 2000, "hammer": 1000, "xlam": 1000}
"""Steps of each source in the published 4,000."""
HELD_OUT = 0.02
"""Share of the mix that is kept back."""


@dataclass(frozen=True, slots=True)
class Mix:
    """ToolRL's data.

    Attributes:
        training: Tasks to train on; ``info.source`` says where each comes from.
        held_out: Tasks that are kept back.
        refused: Rows of the files that could not be used: file, number, reason.
    """

    training: tuple[Task, ...]
    held_out: tuple[Task, ...]
    refused: tuple[str, ...]


def toolrl_steps(conversation: Demonstration, source: str = "") -> list[Task]:
    """Cut a conversation into ToolRL's single steps: one task for each turn of the assistant.

    Its prompt holds the tools and everything before the turn, as text; its answer is the turn, with a
    placeholder thought where it has none. Tools are never run, so ``tools`` is empty.

    Args:
        conversation: Its tools are OpenAI function objects.
        source: Noted in ``info``.

    Raises:
        ToolwiseError: A tool is only a name, or a message cannot be written.
    """
    named = [tool for tool in conversation.tools if isinstance(tool, str)]
    if named:
        raise ToolwiseError(f"tool '{named[0]}' is only a name", mend="give the schema of each tool")
    tools = [tool for tool in conversation.tools if not isinstance(tool, str)]
    steps: list[Task] = []
    for index, message in enumerate(conversation.messages):
        if message["role"] != "assistant":
            continue
        steps.append(
            Task(
                id=f"{conversation.id}-{len(steps)}",
                prompt=toolrl_prompt(conversation.messages[:index], tools),
                answer=toolrl_turn(with_thought(message)),
                info={"domain": "tool_calls"} | ({"source": source} if source else {}),
            )
        )
    return steps


def as_demonstration(task: Task) -> Demonstration:
    """A task whose answer is a reference turn, as a conversation to imitate."""
    return Demonstration(task.id, (*task.prompt, {"role": "assistant", "content": str(task.answer)}))


def toolrl_mix(
    files: Mapping[Source, Path],
    counts: Mapping[Source, int] = PUBLISHED_MIX,
    *,
    seed: int = 0,
    bad_rows: Literal["refuse", "skip"] = "refuse",
) -> Mix:
    """Mix steps of several sources as the published data does, and keep the last 2% back.

    Which steps are taken, and their order, are decided by a hash of seed and id; the published choice is not
    known, so the items are others than the published ones.

    Args:
        files: ``.json`` (a list), ``.jsonl`` or ``.parquet`` of each source; ``hammer`` files have xLAM's
            shape and get random names (`masked`).
        counts: Steps to take of each; all, where a file has fewer.
        seed: Of the choice, the order and the random names.
        bad_rows: Refuse a file with rows that cannot be used, or leave them out and list them.

    Raises:
        ToolwiseError: No file is given, a file cannot be read, or has rows that cannot be used.
    """
    if not files:
        raise ToolwiseError("no file is given", mend="give at least one of --toolace, --xlam, --hammer")
    chosen: list[Task] = []
    refused: list[str] = []
    for source, path in files.items():
        steps = [
            step
            for conversation in _conversations(source, path, seed, bad_rows, refused)
            for step in toolrl_steps(conversation, source)
        ]
        steps.sort(key=lambda step: seed_for(seed, "mix", step.id))
        chosen += steps[: counts[source]]
    chosen.sort(key=lambda step: seed_for(seed, "order", step.id))
    kept_back = round(HELD_OUT * len(chosen))
    split = len(chosen) - kept_back
    return Mix(tuple(chosen[:split]), tuple(chosen[split:]), tuple(refused))


def _conversations(
    source: Source, path: Path, seed: int, bad_rows: Literal["refuse", "skip"], refused: list[str]
) -> Sequence[Demonstration]:
    def make(row: Row) -> Demonstration:
        if source == "toolace":
            return Demonstration(*toolace_conversation(row))
        identity, messages, tools = xlam_conversation(row)
        if source == "xlam":
            return Demonstration(identity, messages, tools)
        return Demonstration(*masked((identity.replace("xlam", "hammer", 1), messages, tools), seed))

    rows = list(list_rows(path))
    if bad_rows == "refuse":
        return read_all(path, rows, make)
    usable = []
    for row in rows:
        try:
            if row.problem:
                raise ToolwiseError(row.problem)
            make(row)
        except ToolwiseError as error:
            refused.append(f"{path}, row {row.number}: {error.problem}")
            continue
        usable.append(row)
    return read_all(path, usable, make)
