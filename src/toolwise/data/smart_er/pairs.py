"""Training pairs: a chain split at its tool steps, as published, and whole as a demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.data.demonstrations import Demonstration
from toolwise.dialects import STEP_TOOLS, StepTool
from toolwise.dialects.smart import INSTRUCTION
from toolwise.dialects.smart_steps import Step, format_final, format_input, format_steps, indicated
from toolwise.dialects.step_tools import shown_tools


def segments(steps: Sequence[Step]) -> list[list[Step]]:
    """The stretches of a chain that are written without a pause: each up to a tool step, and the rest.

    There is one more than there are tool steps; the last one may be empty, and is followed by the final
    response. (The paper counts as many pairs as tool steps; the last stretch is left out there.)
    """
    parts: list[list[Step]] = [[]]
    for step in steps:
        parts[-1].append(step)
        if step.tool is not None:
            parts.append([])
    return parts


def training_pairs(
    question: str, steps: Sequence[Step], final: str, instruction: str, indicators: bool = False
) -> list[dict[str, str]]:
    """Instruction, input and output of each stretch, in the published layout (Alpaca records).

    The input holds the task and all steps before the stretch, outputs included; trained on is the output.

    Args:
        question: The task.
        steps: Of the chain, with their outputs.
        final: The final response.
        instruction: Stands before every input.
        indicators: Whether each step begins with its indicator.
    """
    pairs = []
    marked = [indicated(step) if indicators else step for step in steps]
    done: list[Step] = []
    parts = segments(marked)
    for number, part in enumerate(parts):
        written = [Step(step.title, step.body, step.tool) for step in part]
        output = [format_steps(written, len(done) + 1)] if written else []
        if number == len(parts) - 1:
            output.append(format_final(final))
        pairs.append(
            {"instruction": instruction, "input": format_input(question, done), "output": "\n\n".join(output)}
        )
        done += part
    return pairs


def demonstration(
    name: str,
    question: str,
    steps: Sequence[Step],
    final: str,
    tools: Mapping[str, StepTool],
    offered: Sequence[str],
    indicators: bool = False,
) -> Demonstration:
    """The chain as one conversation: a turn for each stretch, a message for each output.

    Every stretch is trained on once, as with the pairs, but what is common to them is read once.

    Args:
        name: Id of the demonstration.
        question: The task.
        steps: Of the chain, with their outputs.
        final: The final response.
        tools: Which tool a step's name means.
        offered: Steps' names of all tools on offer, whether the chain calls them or not: a prompt that shows
            only what is needed would give the decision away.
        indicators: Whether each step begins with its indicator.
    """
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for pair, part in zip(
        training_pairs(question, steps, final, "", indicators), segments(steps), strict=True
    ):
        messages.append({"role": "assistant", "content": pair["output"]})
        if part and part[-1].tool is not None:
            called = tools[part[-1].tool]
            messages.append({"role": "tool", "name": called.tool, "content": part[-1].output or ""})
    names = dict.fromkeys(tools[name].tool for name in offered)
    return Demonstration(name, tuple(messages), tuple(names))


def domain_instruction(
    names: Sequence[str], specs: Mapping[str, Mapping[str, Any]], tools: Mapping[str, StepTool] = STEP_TOOLS
) -> str:
    """The instruction of a domain, which names its tools.

    Args:
        names: Of the steps, such as ``Search``.
        specs: OpenAI function object of each tool, by the tool's name.
        tools: Which tool a step's name means.
    """
    return shown_tools(INSTRUCTION, [specs[tools[name].tool] for name in names], tools)
