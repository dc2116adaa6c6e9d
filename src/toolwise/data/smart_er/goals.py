"""Sub-goals: decomposition, whether each is within or beyond knowledge, and the tool that serves it."""

from __future__ import annotations

import json
from typing import Any

from toolwise.data.smart_er import prompts
from toolwise.data.smart_er.asking import ask_json, text, texts
from toolwise.data.smart_er.sources import DOMAIN_TOOLS
from toolwise.data.stage import Dropped, Record, Work
from toolwise.sampling.chat import ChatModel


def decompose(model: ChatModel) -> Work:
    """The work of the stage: ``goals``, the sub-goals s_1 … s_n of the question in order."""

    async def work(row: Record) -> list[Record]:
        user = f"Task: {row['question']}"
        if row["hints"].get("solution"):
            user += f"\nSolution: {row['hints']['solution']}"
        goals = await ask_json(model, prompts.DECOMPOSE, user, lambda value: texts(value, "goals"))
        if len(goals) < 2:
            raise Dropped("it is one goal only", goals[0])
        return [row | {"goals": goals}]

    return work


def annotate(model: ChatModel) -> Work:
    """The work of the stage: ``needs_tool``, A(s_i) of each goal; all of one kind: dropped."""

    async def work(row: Record) -> list[Record]:
        numbered = "\n".join(f"{number}. {goal}" for number, goal in enumerate(row["goals"], start=1))
        hint = {key: value for key, value in row["hints"].items() if key != "solution"}
        known = json.dumps(hint, ensure_ascii=False)
        user = f"Task: {row['question']}\nHint: {known}\nSub-goals:\n{numbered}"

        def read(value: Any) -> list[bool]:
            flags = value["tools"]
            if not isinstance(flags, list) or not all(isinstance(flag, bool) for flag in flags):
                raise ValueError("'tools' must be a list of true and false")
            if len(flags) != len(row["goals"]):
                raise ValueError(f"{len(flags)} entries for {len(row['goals'])} sub-goals")
            return flags

        flags = await ask_json(model, prompts.ANNOTATE, user, read)
        if len(set(flags)) == 1:
            raise Dropped("every goal takes a tool" if flags[0] else "no goal takes a tool")
        return [row | {"needs_tool": flags}]

    return work


def map_tools(model: ChatModel) -> Work:
    """The work of the stage: ``tools``, T(s_i) of each goal, null where none is needed.

    Where a domain has one tool only, nobody is asked.
    """

    async def work(row: Record) -> list[Record]:
        tools: list[str | None] = []
        for goal, needed in zip(row["goals"], row["needs_tool"], strict=True):
            tools.append(await _tool(model, row, goal) if needed else None)
        return [row | {"tools": tools}]

    return work


async def _tool(model: ChatModel, row: Record, goal: str) -> str:
    known = DOMAIN_TOOLS[row["domain"]]
    if len(known) == 1:
        return known[0]

    def read(value: Any) -> str:
        name = text(value, "tool")
        if name not in known:
            raise ValueError(f"'{name}' is none of {', '.join(known)}")
        return name

    return await ask_json(
        model, prompts.MAP, f"Task: {row['question']}\nSub-goal: {goal}\nTools: {', '.join(known)}", read
    )
