"""What the two dialects of SMART share: how a task is put, and where a turn stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from toolwise.core import Message
from toolwise.dialects.chat_template import ChatTemplate
from toolwise.dialects.step_tools import STEP_TOOLS, StepTool, asked_in, shown_tools


class StepDialect:
    """The base of `SmartDialect` and `ToolPromptDialect`. Errors are those of `ChatTemplate`.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        template_arguments: Passed on to the template.
        instruction: Stands before the task; may hold ``{tool_lines}`` and ``{tool_names}``; empty for none,
            None for the dialect's own.
        tools: Tool of each step, by the step's name.

    Attributes:
        stop_token_ids: The template's end of turn, and the tokenizer's end of text.
        stop_strings: The line that a tool's output begins with, so that no policy makes one up.
    """

    own_instruction: ClassVar[str]
    output_mark: ClassVar[str]

    def __init__(
        self,
        tokenizer: Any,
        template_arguments: Mapping[str, Any] | None = None,
        *,
        instruction: str | None = None,
        tools: Mapping[str, StepTool] = STEP_TOOLS,
    ) -> None:
        self._template = ChatTemplate(tokenizer, template_arguments)
        self._instruction = self.own_instruction if instruction is None else instruction
        self._tools = dict(tools)
        self.stop_token_ids: tuple[int, ...] = self._template.stop_token_ids
        self.stop_strings: tuple[str, ...] = (f"\n{self.output_mark}",)

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Dialect`. The last user message becomes the task, unless it is written as one already."""
        shown = asked_in(messages, shown_tools(self._instruction, tools, self._tools))
        return self._template.encode(self._template.prompt_text(shown))
