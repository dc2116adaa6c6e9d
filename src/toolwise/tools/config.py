"""Configuration of tools: a discriminated union, and the toolbox made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from toolwise.core import ToolwiseError
from toolwise.core.targets import TARGET_PATTERN, importable, load_target
from toolwise.tools.ask_user import ask_user
from toolwise.tools.calculator import calculator
from toolwise.tools.python import python_tool
from toolwise.tools.sandbox import EngineName, SandboxLimits, choose_engine
from toolwise.tools.search import search_tool
from toolwise.tools.search_index import SearchIndex
from toolwise.tools.tool import MAX_RESULT_CHARS, Tool
from toolwise.tools.toolbox import Toolbox


class CalculatorConfig(BaseModel):
    """The calculator."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["calculator"] = "calculator"

    def build(self) -> Tool:
        """The tool."""
        return calculator()


class SearchConfig(BaseModel):
    """Search over a corpus: a JSONL or Parquet file, or the folder of a saved index."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["search"] = "search"
    corpus: Path
    top_k: int = Field(default=3, ge=1, le=100)

    def build(self) -> Tool:
        """The tool; reads the corpus."""
        read = SearchIndex.load if self.corpus.is_dir() else SearchIndex.from_file
        return search_tool(read(self.corpus), self.top_k)


class AskUserConfig(BaseModel):
    """The scripted user of each task."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["ask_user"] = "ask_user"

    def build(self) -> Tool:
        """The tool."""
        return ask_user()


class PythonConfig(BaseModel):
    """Python code of the model's own, isolated from the machine.

    Attributes:
        time_limit: Seconds of CPU time of a call; at four times as much of the wall clock it is stopped, too.
        memory_limit: MiB.
        max_output_chars: Longer results are cut in the middle.
        engine: What isolates the code; ``auto`` takes bubblewrap where it works, else wasi where it is
            installed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["python"] = "python"
    time_limit: int = Field(default=10, ge=1, le=3600)
    memory_limit: int = Field(default=1024, ge=256, le=1 << 20)
    max_output_chars: int = Field(default=MAX_RESULT_CHARS, ge=100, le=1_000_000)
    engine: EngineName = "auto"

    def build(self) -> Tool:
        """The tool; tries out that the isolation works.

        Raises:
            ToolwiseError: It does not, or nothing is there to isolate with.
        """
        limits = SandboxLimits(self.time_limit, self.memory_limit << 20)
        return python_tool(choose_engine(self.engine, limits), self.max_output_chars)


class FunctionConfig(BaseModel):
    """The user's own: a function, or a `Tool`, at ``module:attribute``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["function"] = "function"
    target: Annotated[str, Field(pattern=TARGET_PATTERN), AfterValidator(importable)]

    def build(self) -> Tool:
        """The tool.

        Raises:
            ToolwiseError: The target is no function, or no schema can be made of it.
        """
        found = load_target(self.target)
        if isinstance(found, Tool):
            return found
        if not callable(found):
            raise ToolwiseError(
                f"is a {type(found).__name__}",
                where=f"target '{self.target}'",
                mend="name a function or a Tool",
            )
        return Tool.from_function(found)


ToolConfig = Annotated[
    CalculatorConfig | SearchConfig | AskUserConfig | PythonConfig | FunctionConfig,
    Field(discriminator="type"),
]
"""One tool of a run, chosen by its ``type``."""


def build_toolbox(configs: Sequence[ToolConfig]) -> Toolbox:
    """The toolbox that the configuration asks for.

    Raises:
        ToolwiseError: Two tools have one name, a corpus cannot be read, or a target cannot be imported.
    """
    return Toolbox(config.build() for config in configs)
