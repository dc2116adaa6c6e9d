"""Configuration of tools: a discriminated union, and the toolbox made of it."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolwise.core import ToolwiseError
from toolwise.tools.ask_user import ask_user
from toolwise.tools.calculator import calculator
from toolwise.tools.search import search_tool
from toolwise.tools.search_index import SearchIndex
from toolwise.tools.tool import Tool
from toolwise.tools.toolbox import Toolbox


class CalculatorConfig(BaseModel):
    """The calculator."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["calculator"] = "calculator"

    def build(self) -> Tool:
        """The tool."""
        return calculator()


class SearchConfig(BaseModel):
    """Search over a corpus: a JSONL or Parquet file, or the folder of a saved index."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["search"] = "search"
    corpus: Path
    top_k: int = Field(default=3, ge=1, le=100)

    def build(self) -> Tool:
        """The tool; reads the corpus."""
        read = SearchIndex.load if self.corpus.is_dir() else SearchIndex.from_file
        return search_tool(read(self.corpus), self.top_k)


class AskUserConfig(BaseModel):
    """The scripted user of each task."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["ask_user"] = "ask_user"

    def build(self) -> Tool:
        """The tool."""
        return ask_user()


class FunctionConfig(BaseModel):
    """The user's own: a function, or a `Tool`, at ``module:attribute``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["function"] = "function"
    target: str = Field(pattern=r"^[\w.]+:[\w.]+$")

    def build(self) -> Tool:
        """The tool; imports the module.

        Raises:
            ToolwiseError: There is no such thing, or it is no function.
        """
        where = f"tool target '{self.target}'"
        try:
            found = pkgutil.resolve_name(self.target)
        except (ImportError, AttributeError) as error:
            raise ToolwiseError(
                f"cannot be imported: {error}",
                where=where,
                mend="run the command in the module's folder, or put that on PYTHONPATH",
            ) from error
        if isinstance(found, Tool):
            return found
        if not callable(found):
            raise ToolwiseError(f"is {type(found).__name__}", where=where, mend="name a function or a Tool")
        return Tool.from_function(found)


ToolConfig = Annotated[
    CalculatorConfig | SearchConfig | AskUserConfig | FunctionConfig, Field(discriminator="type")
]
"""One tool of a run, chosen by its ``type``."""


def build_toolbox(configs: Sequence[ToolConfig]) -> Toolbox:
    """The toolbox that the configuration asks for.

    Raises:
        ToolwiseError: Two tools have one name, a corpus cannot be read, or a target cannot be imported.
    """
    return Toolbox(config.build() for config in configs)
