"""SMART's steps in the agent loop: real outputs, none made up, and nothing lost that goes wrong."""

from __future__ import annotations

import asyncio

from toolwise.core import ErrorKind, StopReason, Task
from toolwise.dialects import SmartDialect, StepTool, ToolPromptDialect
from toolwise.rollout import Limits, roll_out
from toolwise.sampling import FinishReason, Sample, SamplingParams
from toolwise.tools import Toolbox, calculator

TOOLS = {"Code": StepTool("calculator", "expression", fenced=True)}
TASK = Task("t", ({"role": "user", "content": "What is 6 * 7?"},), ("calculator",))


class ScriptedSampler:
    """A test double: says one line of a script a turn, and stops at stop strings as an engine does."""

    context_length = 4000

    def __init__(self, tokenizer, *lines):
        self.tokenizer, self.lines, self.prompts = tokenizer, list(lines), []

    async def generate(self, prompt_ids, params):
        self.prompts.append(self.tokenizer.decode(prompt_ids))
        line = self.lines[len(self.prompts) - 1]
        ends = [line.index(stop) + len(stop) for stop in params.stop if stop in line]
        said = line[: min(ends)] if ends else line + "<|im_end|>"
        ids = tuple(self.tokenizer.encode(said, add_special_tokens=False))
        return Sample(ids, (-0.5,) * len(ids), FinishReason.STOP)


def play(dialect, tokenizer, *lines, max_turns=10):
    sampler = ScriptedSampler(tokenizer, *lines)
    tree = asyncio.run(
        roll_out(
            TASK,
            sampler=sampler,
            dialect=dialect,
            toolbox=Toolbox([calculator()]),
            params=SamplingParams(temperature=0.0),
            limits=Limits(max_turns=max_turns),
        )
    )
    (rollout,) = tree.rollouts()
    return rollout, sampler


STEP = "- Step 1: Compute (tool: Code)\n```python\n6 * 7\n```"
FINAL = "### Final Response\n42"


def test_an_output_that_the_policy_makes_up_is_stopped_and_the_real_one_given(tokenizer):
    dialect = SmartDialect(tokenizer, instruction="", tools=TOOLS)
    rollout, sampler = play(dialect, tokenizer, f"{STEP}\n- Output: 41\n\n### Final Response\n41", FINAL)
    assert (rollout.answer, rollout.calls, rollout.stop) == ("42", 1, StopReason.ANSWERED)
    assert rollout.turns[2].results[0].content == "42"
    assert "41" not in rollout.completion
    # The turn that was stopped is closed before the output follows.
    assert "- Output:<|im_end|>\n<|im_start|>user\n- Output: 42<|im_end|>" in sampler.prompts[1]


def test_every_tool_step_of_a_turn_is_run_and_unknown_ones_are_answered(tokenizer):
    dialect = SmartDialect(tokenizer, instruction="", tools=TOOLS)
    other = "- Step 2: Look (tool: Search)\nwho won"
    rollout, _ = play(dialect, tokenizer, f"{STEP}\n\n{other}\n\n{FINAL}", "### Final Response\n43")
    assert [result.error for result in rollout.turns[2].results] == [None, ErrorKind.UNKNOWN_TOOL]
    # An answer that was written before the outputs is none.
    assert (rollout.answer, rollout.calls) == ("43", 2)


def test_a_turn_without_a_tool_and_without_an_answer_is_a_rollout_without_one(tokenizer):
    dialect = SmartDialect(tokenizer, instruction="", tools=TOOLS)
    rollout, _ = play(dialect, tokenizer, "- Step 1: Think (general reasoning)\nHm.")
    assert (rollout.answer, rollout.calls, rollout.stop) == (None, 0, StopReason.ANSWERED)


def test_the_baseline_ends_at_either_marker(tokenizer):
    dialect = ToolPromptDialect(tokenizer, instruction="", tools=TOOLS)
    for final in ("Final Answer: 42", FINAL):
        rollout, sampler = play(dialect, tokenizer, "Let me see.\n```python\n6 * 7\n```", final)
        assert (rollout.answer, rollout.calls) == ("42", 1)
        assert "- Tool Output: 42\n\n### Continue your reasoning" in sampler.prompts[1]
