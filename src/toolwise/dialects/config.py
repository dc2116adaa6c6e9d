"""Configuration of the dialect: a discriminated union, and the dialect made of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from toolwise.core import ToolwiseError
from toolwise.core.targets import TARGET_PATTERN, call_target, importable, load_target
from toolwise.dialects.dialect import Dialect
from toolwise.dialects.hermes import HermesDialect
from toolwise.dialects.llama3 import Llama3Dialect
from toolwise.dialects.mistral import MistralDialect
from toolwise.dialects.search_r1 import MAX_OBSERVATION_TOKENS, SearchR1Dialect, Variant
from toolwise.dialects.smart import SmartDialect
from toolwise.dialects.step_tools import STEP_TOOLS, StepTool
from toolwise.dialects.tool_prompt import ToolPromptDialect
from toolwise.dialects.toolrl import ToolRLDialect


class _TemplateConfig(BaseModel):
    """What dialects have that are written in the model's own chat template, where it has one.

    Attributes:
        type: Which one.
        template_arguments: Passed on to the template.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: str
    template_arguments: dict[str, JsonValue] = Field(default_factory=dict)


class HermesConfig(_TemplateConfig):
    """Hermes-style JSON calls in the model's own chat template."""

    type: Literal["hermes"] = "hermes"

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return HermesDialect(tokenizer, self.template_arguments)


class ToolRLConfig(_TemplateConfig):
    """ToolRL's tags in the model's own chat template."""

    type: Literal["toolrl"] = "toolrl"

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return ToolRLDialect(tokenizer, self.template_arguments)


class Llama3Config(_TemplateConfig):
    """Llama 3's bare JSON calls in the model's own chat template."""

    type: Literal["llama3"] = "llama3"

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return Llama3Dialect(tokenizer, self.template_arguments)


class MistralConfig(_TemplateConfig):
    """Mistral's list of calls in the model's own chat template."""

    type: Literal["mistral"] = "mistral"

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return MistralDialect(tokenizer, self.template_arguments)


class StepToolConfig(BaseModel):
    """Which tool a step of SMART calls, and what its body is; see `StepTool`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tool: str = Field(min_length=1)
    argument: str = Field(min_length=1)
    fenced: bool = False


class _StepsConfig(_TemplateConfig):
    """What both dialects of SMART have.

    Attributes:
        instruction: Instead of the dialect's own; may hold ``{tool_lines}`` and ``{tool_names}``.
        tools: Tool of each step, by the step's name; those that are not named stay as they are.
    """

    instruction: str | None = None
    tools: dict[str, StepToolConfig] = Field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the dialect."""
        own = {name: StepTool(**config.model_dump()) for name, config in self.tools.items()}
        return {"instruction": self.instruction, "tools": {**STEP_TOOLS, **own}}


class SmartConfig(_StepsConfig):
    """SMART's numbered steps in the model's own chat template."""

    type: Literal["smart"] = "smart"

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return SmartDialect(tokenizer, self.template_arguments, **self.options())


class ToolPromptConfig(_StepsConfig):
    """SMART's tool-prompt baseline: calls in the midst of free reasoning."""

    type: Literal["tool_prompt"] = "tool_prompt"

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return ToolPromptDialect(tokenizer, self.template_arguments, **self.options())


class SearchR1Config(_TemplateConfig):
    """Search-R1's tags in one running text; see `SearchR1Dialect`.

    Attributes:
        variant: ``otc`` for OTC's prompt and observation tag.
        max_observation_tokens: Longer observations are cut; null: never.
    """

    type: Literal["search_r1"] = "search_r1"
    variant: Variant = "search_r1"
    max_observation_tokens: int | None = Field(default=MAX_OBSERVATION_TOKENS, ge=32)

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return SearchR1Dialect(
            tokenizer,
            self.template_arguments,
            variant=self.variant,
            max_observation_tokens=self.max_observation_tokens,
        )


class CustomDialectConfig(BaseModel):
    """The user's own: something at ``module:attribute`` that takes a tokenizer and gives a `Dialect`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["custom"] = "custom"
    target: Annotated[str, Field(pattern=TARGET_PATTERN), AfterValidator(importable)]

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer.

        Raises:
            ToolwiseError: The target takes no tokenizer, or what it gives is no dialect.
        """
        dialect = load_target(self.target)
        if callable(dialect):
            dialect = call_target(self.target, tokenizer)
        if not isinstance(dialect, Dialect):
            raise ToolwiseError(
                f"gives {type(dialect).__name__}, which is no dialect",
                where=f"target '{self.target}'",
                mend="give it the methods and attributes of toolwise.dialects.Dialect",
            )
        return dialect


DialectConfig = Annotated[
    HermesConfig
    | Llama3Config
    | MistralConfig
    | ToolRLConfig
    | SmartConfig
    | ToolPromptConfig
    | SearchR1Config
    | CustomDialectConfig,
    Field(discriminator="type"),
]
"""How the model writes its turns, chosen by ``type``."""


def build_dialect(config: DialectConfig, tokenizer: Any) -> Dialect:
    """The dialect that the configuration asks for.

    Raises:
        ToolwiseError: The tokenizer has no usable chat template, or a target cannot be imported.
    """
    return config.build(tokenizer)
