"""Quality checks of finished chains: what fails one does not go on, and says which."""

from __future__ import annotations

from toolwise.data.smart_er.selection import same_answer
from toolwise.data.stage import Dropped, Record, Work
from toolwise.dialects.smart_steps import FINAL, Step, format_steps, parse_steps
from toolwise.sampling.chat import ChatModel

MOST_STEPS = 16


def check(model: ChatModel) -> Work:
    """The work of the stage; adds ``verified``: whether the final response was compared with an answer."""

    async def work(row: Record) -> list[Record]:
        steps = [Step.from_record(record) for record in row["chain"]]
        problem = chain_problem(steps, row["final"])
        if problem:
            raise Dropped(problem)
        answers = row["answers"]
        if answers and not await same_answer(model, row["question"], row["final"], answers):
            raise Dropped("the final response is wrong", row["final"])
        return [row | {"verified": bool(answers)}]

    return work


def chain_problem(steps: list[Step], final: str) -> str:
    """What is wrong with the form of a chain; empty if nothing is."""
    tools = [step for step in steps if step.tool is not None]
    if not final.strip():
        return "there is no final response"
    if len(steps) > MOST_STEPS:
        return f"it has more than {MOST_STEPS} steps"
    if not tools or len(tools) == len(steps):
        return "its steps are all of one kind"
    if any(not step.body.strip() or not step.title.strip() for step in steps):
        return "a step is empty"
    if any(not (step.output or "").strip() for step in tools):
        return "a tool gave nothing"
    calls = [(step.tool, step.body) for step in tools]
    if len(set(calls)) < len(calls):
        return "a call is made twice"
    plain = [Step(step.title, step.body.strip(), step.tool) for step in steps]
    if parse_steps(format_steps(plain)) != plain or FINAL in format_steps(plain):
        return "its steps cannot be told apart once they are text"
    return ""
