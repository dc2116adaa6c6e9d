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
from toolwise.dialects.toolrl import ToolRLDialect


class HermesConfig(BaseModel):
    """Hermes-style JSON calls in the model's own chat template."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["hermes"] = "hermes"
    template_arguments: dict[str, JsonValue] = Field(default_factory=dict)

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return HermesDialect(tokenizer, self.template_arguments)


class ToolRLConfig(BaseModel):
    """ToolRL's tags in the model's own chat template."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["toolrl"] = "toolrl"
    template_arguments: dict[str, JsonValue] = Field(default_factory=dict)

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return ToolRLDialect(tokenizer, self.template_arguments)


class Llama3Config(BaseModel):
    """Llama 3's bare JSON calls in the model's own chat template."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["llama3"] = "llama3"
    template_arguments: dict[str, JsonValue] = Field(default_factory=dict)

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return Llama3Dialect(tokenizer, self.template_arguments)


class MistralConfig(BaseModel):
    """Mistral's list of calls in the model's own chat template."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["mistral"] = "mistral"
    template_arguments: dict[str, JsonValue] = Field(default_factory=dict)

    def build(self, tokenizer: Any) -> Dialect:
        """The dialect for this tokenizer."""
        return MistralDialect(tokenizer, self.template_arguments)


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
    HermesConfig | Llama3Config | MistralConfig | ToolRLConfig | CustomDialectConfig,
    Field(discriminator="type"),
]
"""How the model writes its turns, chosen by ``type``."""


def build_dialect(config: DialectConfig, tokenizer: Any) -> Dialect:
    """The dialect that the configuration asks for.

    Raises:
        ToolwiseError: The tokenizer has no usable chat template, or a target cannot be imported.
    """
    return config.build(tokenizer)
