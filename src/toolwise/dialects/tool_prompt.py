"""The turns of SMART's tool-prompt baseline (arXiv 2502.11435, appendix): calls amid free reasoning.

A prompted model thinks aloud and calls ``Search(…)``, ``AskUser(…)`` or a fenced ``python`` block. The first
call of a turn counts, and what stands after it is no part of the turn. Both end markers of the published
prompts are read, ``Final Answer:`` and ``### Final Response``: the published loop knows the first one only,
and with three of its five prompts never ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, ToolwiseError
from toolwise.dialects.call_json import malformed
from toolwise.dialects.chat_template import with_parsed_arguments
from toolwise.dialects.dialect import ParsedTurn, without_stops
from toolwise.dialects.smart_steps import FINAL, Step
from toolwise.dialects.step_dialect import StepDialect
from toolwise.dialects.step_tools import call_of, step_of

INSTRUCTION = """\
You solve tasks with what you know and, where that is not enough, with tools.

- Reason aloud below "### Reasoning Steps", one thing after the other.
- Rely on your own knowledge as far as it goes, and call a tool only where it ends.
- To call one, begin a new line with the call and stop: Search(a query), AskUser(a question), or a fenced \
python block that prints what you need. You are then given its output and go on.
- When you are done, begin a new line with "Final Answer:" and give a clear, direct answer.

Tools:
{tool_lines}

For example, for the task "How many days are there in 17 weeks?":
A week has 7 days, so the answer is 17 times 7, which I can work out: 119.
Final Answer: 119"""
"""In our own words; ``{tool_lines}`` and ``{tool_names}`` are filled in."""

OUTPUT = "- Tool Output:"
_CALLS = {"AskUser": "AskUser(", "Search": "Search(", "Code": "```python"}
_ANSWER = "Final Answer:"
_GUIDELINES = "### Output Guidelines"
_HEADINGS = ("** Input **", "** Output **", "### Reasoning Steps", "### Continue your reasoning")
_TITLE = "Reasoning Step"


def parse_tool_prompt(text: str) -> list[Step]:
    """What a turn of the baseline says: its reasoning, and then the first call or the final response.

    Raises:
        ValueError: The parentheses of the first call do not close.
    """
    text = text.partition(_GUIDELINES)[0]
    for heading in _HEADINGS:
        text = text.replace(heading, "")
    text = text.strip()
    places = {tool: place for tool, mark in _CALLS.items() if (place := text.find(mark)) >= 0}
    if places:
        tool = min(places, key=lambda name: places[name])
        place = places[tool]
        before, called = text[:place].strip(), text[place:]
        return [Step(_TITLE, before), Step(_TITLE, _argument(tool, called), tool)]
    if _ANSWER in text:
        before, answer, *_ = text.split(_ANSWER)
        return [Step(_TITLE, before.strip()), Step("Final Response", answer.strip())]
    return [Step(_TITLE, text)]


class ToolPromptDialect(StepDialect):
    """See the module and `StepDialect`."""

    own_instruction = INSTRUCTION
    output_mark = OUTPUT

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """See `Dialect`."""
        text = self._template.decode(token_ids)
        content = self._template.decode(without_stops(token_ids, self.stop_token_ids))
        written = f"\n{content}".partition(f"\n{OUTPUT}")[0].replace(FINAL, _ANSWER)
        try:
            first, *rest = parse_tool_prompt(written)
        except ValueError as error:
            calls, kind = (malformed(str(error)),), ErrorKind.MALFORMED_CALL
            return ParsedTurn(text, written.strip(), calls, None, kind, content)
        if not rest:
            return ParsedTurn(text, first.body, content=content)
        if rest[0].tool is None:
            return ParsedTurn(text, first.body, answer=rest[0].body or None, content=content)
        return ParsedTurn(text, first.body, (call_of(rest[0], self._tools),), content=content)

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """See `Dialect`."""
        lines = [f"{OUTPUT} {result.content}" for result in results]
        text = "\n".join([*lines, "", "### Continue your reasoning"])
        return self._template.after_turn([ToolResult("output", text)], closed=closed, role="user")

    def render_turn(self, message: Message) -> list[int]:
        """See `Dialect`.

        Raises:
            ToolwiseError: A call of another tool, or of one with other arguments, or more than one.
        """
        plain = with_parsed_arguments(message)
        content, thought = plain["content"], plain.get("reasoning_content") or ""
        calls = [call["function"] for call in plain.get("tool_calls", ())]
        if len(calls) > 1:
            raise ToolwiseError("the baseline makes one call in a turn", mend="split the turn")
        parts = [thought] if thought else []
        if calls:
            step = step_of(ToolCall(calls[0]["name"], calls[0]["arguments"]), self._tools)
            if step.tool not in _CALLS:
                raise ToolwiseError(
                    f"the baseline has no call of '{calls[0]['name']}'",
                    mend="name it under dialect.tools as Code, Search or AskUser",
                )
            parts += [content] if content else []
            parts.append(step.body if step.tool == "Code" else f"{step.tool}({step.body})")
        else:
            parts.append(f"{_ANSWER} {content}")
        return self._template.encode("\n".join(parts) + self._template.end_token)


def _argument(tool: str, called: str) -> str:
    if tool == "Code":
        code = called.removeprefix(_CALLS[tool]).partition("```")[0].strip()
        return f"```python\n{code}\n```"
    depth = 0
    start = called.index("(") + 1
    for place in range(start, len(called)):
        if called[place] == "(":
            depth += 1
        elif called[place] == ")":
            if not depth:
                return called[start:place].strip()
            depth -= 1
    raise ValueError(f"the parentheses of {tool} do not close")
