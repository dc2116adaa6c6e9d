"""The chain: each goal in order, from knowledge or by a real tool call, and then why it was reached so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import Task, ToolResult
from toolwise.data.smart_er import prompts
from toolwise.data.smart_er.asking import ask_json, ask_text, text
from toolwise.data.smart_er.selection import wishes
from toolwise.data.stage import Dropped, Record, Work
from toolwise.dialects import StepTool
from toolwise.dialects.smart_steps import FINAL, OUTPUT, Step, format_steps
from toolwise.dialects.step_tools import call_of
from toolwise.sampling.chat import ChatModel
from toolwise.tools import Session, Tool, Toolbox

USER_SECONDS = 120.0
"""A user who is played by a model may take so long."""


def played_user(model: ChatModel) -> Tool:
    """The tool ``ask_user``, answered by a model in the role of the user; it reads ``info`` of the task."""

    async def ask(question: str, session: Session) -> str:
        """Ask the user something that only they can know, such as a preference.

        Args:
            question: The question to the user.
            session: The session of the row.
        """
        task = session.task
        mind = str(task.info.get("wishes") or "(nothing in particular)")
        given = task.prompt[0]["content"]
        user = f"Task: {given}\nWhat you have in mind:\n{mind}\nThe assistant asks: {question}"
        return await ask_text(model, prompts.USER, user, max_tokens=200)

    return Tool.from_function(ask, name="ask_user", time_limit=USER_SECONDS)


def write_steps(model: ChatModel, toolbox: Toolbox, tools: Mapping[str, StepTool]) -> Work:
    """The work of the stage: ``steps`` (title, body, tool, output) for each goal, and ``final``.

    Args:
        model: Recalls k_i, writes the parameters p_i, and the final response.
        toolbox: Gives the outputs o_i.
        tools: Which tool of it a step's name means.
    """

    async def work(row: Record) -> list[Record]:
        names = [tools[name].tool for name in dict.fromkeys(row["tools"]) if name is not None]
        task = Task(row["id"], ({"role": "user", "content": row["question"]},), tuple(names), info=_info(row))
        session = Session(task)
        steps: list[Step] = []
        try:
            for goal, tool in zip(row["goals"], row["tools"], strict=True):
                title = await ask_json(model, prompts.TITLE, f"Sub-goal: {goal}", _title)
                asked = _context(row, steps, f"Next sub-goal: {goal}")
                if tool is None:
                    steps.append(Step(title, _plain(await ask_text(model, prompts.KNOWLEDGE, asked))))
                else:
                    steps.append(await _call(model, toolbox, tools, session, asked, Step(title, "", tool)))
        finally:
            await session.close()
        final = await ask_text(model, prompts.FINAL, _context(row, steps, "Final response:"))
        return [
            row | {"steps": [step.to_record() for step in steps], "final": final.removeprefix(FINAL).strip()}
        ]

    return work


def justify(model: ChatModel) -> Work:
    """The work of the stage: ``chain``, the steps with a justification j_i each.

    A step without a tool says why none is needed after what it recalls. Before a step with a tool stands one
    that says why the tool is needed.
    """

    async def work(row: Record) -> list[Record]:
        steps = [Step.from_record(record) for record in row["steps"]]
        chain: list[Step] = []
        reasons = []
        for place, (goal, step) in enumerate(zip(row["goals"], steps, strict=True)):
            how = "without a tool" if step.tool is None else f"with {step.tool}"
            asked = _context(row, steps[:place], f"Next sub-goal: {goal}\nReached: {how}")
            reason = _plain(await ask_text(model, prompts.JUSTIFY, asked, max_tokens=200))
            reasons.append(reason)
            if step.tool is None:
                chain.append(Step(step.title, f"{step.body} {reason}"))
            else:
                chain += [Step(f"Judge what is needed to {_lower(step.title)}", reason), step]
        return [row | {"justifications": reasons, "chain": [step.to_record() for step in chain]}]

    return work


async def _call(
    model: ChatModel,
    toolbox: Toolbox,
    tools: Mapping[str, StepTool],
    session: Session,
    asked: str,
    step: Step,
) -> Step:
    tool = step.tool or ""
    spec = toolbox[tools[tool].tool].spec()["function"]
    described = f"{asked}\nTool: {tool}. {spec['description']}\n{_argument(spec, tools[tool].argument)}"
    system, user = prompts.PARAMETER, described
    result = ToolResult(tool, "")
    for _ in range(2):
        argument = await ask_json(model, system, user, lambda value: text(value, "argument"))
        body = _fenced(argument) if tools[tool].fenced else argument
        result = await toolbox.run(call_of(Step(step.title, body, tool), tools), session)
        if result.error is None and result.content.strip():
            return Step(step.title, body, tool, result.content.strip())
        user = f"{described}\nArgument: {argument}\nOutput: {result.content or '(nothing)'}"
        system = prompts.REPAIR
    raise Dropped(f"a call of {tool} fails twice", result.content)


def _argument(spec: Mapping[str, Any], name: str) -> str:
    """What the schema says of the argument."""
    described = spec["parameters"].get("properties", {}).get(name, {}).get("description", "")
    return f"Argument: {name}. {described}".strip()


def _context(row: Record, steps: Sequence[Step], last: str) -> str:
    so_far = format_steps(steps) or "(none)"
    return f"Task: {row['question']}\nSteps so far:\n{so_far}\n\n{last}"


def _info(row: Record) -> dict[str, Any]:
    return {"wishes": wishes(row["hints"])} if row["domain"] == "intention" else {}


def _title(value: Any) -> str:
    title = " ".join(text(value, "title").split())
    if set(":()") & set(title):
        raise ValueError("a title holds no colon and no parentheses: the format would cut it there")
    return title


def _fenced(code: str) -> str:
    inner = re.sub(r"\A\s*```[\w+-]*\n|\n?```\s*\Z", "", code)
    return f"```python\n{inner.strip()}\n```"


def _plain(said: str) -> str:
    """Text that does not look like the next step, an output or the end of the chain."""
    lines = [line.strip() for line in said.splitlines()]
    marks = ("- Step", OUTPUT, FINAL)
    return "\n".join(line.lstrip("-# ") if line.startswith(marks) else line for line in lines).strip()


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
