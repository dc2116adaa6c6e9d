"""SMART's turns (Qian et al. 2025, arXiv 2502.11435): numbered steps inside a chat template.

The policy writes steps up to a tool step, or to the final response. Where the published loop puts all steps
back into one user message and starts a new turn, this dialect appends: the tool's output is the next user
message, so that no token is written twice. What the published loop does wrong is done right: every tool step
of a turn is run, a turn never goes on into an output that the policy makes up, and a step that cannot be
read is an error that the policy gets to read instead of a dropped question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.call_json import malformed
from toolwise.dialects.chat_template import with_parsed_arguments
from toolwise.dialects.dialect import ParsedTurn, without_stops
from toolwise.dialects.smart_steps import (
    FINAL,
    OUTPUT,
    Step,
    format_final,
    format_steps,
    read_step,
    step_pieces,
    without_indicator,
)
from toolwise.dialects.step_dialect import StepDialect
from toolwise.dialects.step_tools import call_of, step_of

INSTRUCTION = """\
You solve tasks with what you know and, where that is not enough, with tools.

- Think first. What you know for certain, and what you can work out, needs no tool.
- Call a tool where your knowledge ends: for what may have changed, what only the user can say, and what is \
too hard to compute in the head. Say in the step before why you need it or why you do not.
- Work in numbered steps. A step without a tool is marked (general reasoning); one with a tool is marked \
with its name, as in (tool: Search), and holds only what the tool is given. Stop after it; its output follows.
- Close with the line "### Final Response" and a clear, direct answer.

Tools:
{tool_lines}"""
"""In our own words; ``{tool_lines}`` and ``{tool_names}`` are filled in."""

OTHER_FINAL = "Final Answer:"
"""Prompted models end with this one as often."""

_TOOL_MARK = re.compile(r"\(\s*tool", re.IGNORECASE)


class SmartDialect(StepDialect):
    """See the module and `StepDialect`."""

    own_instruction = INSTRUCTION
    output_mark = OUTPUT

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`. A final response beside a tool step was written without its output, and is none."""
        text = self._template.decode(token_ids)
        content = self._template.decode(without_stops(token_ids, self.stop_token_ids))
        written = f"\n{content}".partition(f"\n{OUTPUT}")[0]
        before, answer = _split_final(written)
        calls: list[ToolCall] = []
        thoughts: list[str] = []
        for piece in step_pieces(before):
            step = read_step(piece)
            if step is not None and step.tool is not None:
                calls.append(call_of(without_indicator(step), self._tools))
            elif step is None and _TOOL_MARK.search(piece.partition("\n")[0]):
                calls.append(malformed("a tool step begins '- Step 2: <title> (tool: <name>)'"))
            else:
                thoughts.append(piece if step is None else step.body)
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        thought = "\n".join(part for part in thoughts if part)
        return ParsedTurn(text, thought, tuple(calls), None if calls else answer, error, content)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        text = "\n".join(f"{OUTPUT} {result.content}" for result in results)
        return self._template.after_turn([ToolResult("output", text)], closed=closed, role="user")

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`. Content that is written in steps already is taken as it is.

        Raises:
            ToolwiseError: Such content does not say the message's calls.
        """
        plain = with_parsed_arguments(message)
        content, thought = plain["content"], plain.get("reasoning_content") or ""
        functions = [call["function"] for call in plain.get("tool_calls", ())]
        calls = [ToolCall(function["name"], function["arguments"]) for function in functions]
        if not thought and (content.startswith("- Step") or content.startswith(FINAL)):
            token_ids = self._template.encode(content.strip() + self._template.end_token)
            said = [(call.name, dict(call.arguments)) for call in self.parse(token_ids).calls]
            if calls and said != [(call.name, dict(call.arguments)) for call in calls]:
                raise ToolwiseError(
                    "the steps in 'content' do not make the calls in 'tool_calls'",
                    mend="leave out one of the two, or let them agree",
                )
            return token_ids
        steps = [Step("Think", thought)] if thought else []
        if calls and content:
            steps.append(Step("Say", content))
        steps += [step_of(call, self._tools) for call in calls]
        parts = [format_steps(steps)] if steps else []
        if not calls:
            parts.append(format_final(content))
        return self._template.encode("\n\n".join(parts) + self._template.end_token)


def _split_final(text: str) -> tuple[str, str | None]:
    """What stands before the final response, and the response."""
    before, found, answer = text.partition(FINAL)
    if not found:
        before, found, answer = text.partition(f"\n{OTHER_FINAL}")
    return before, answer.strip() or None if found else None
