"""Configuration of tools: a discriminated union, and the toolbox made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from toolwise.core import ToolwiseError
from toolwise.core.endpoint import ChatConfig
from toolwise.core.targets import TARGET_PATTERN, importable, load_target
from toolwise.tools.ask_user import ask_user
from toolwise.tools.calculator import calculator
from toolwise.tools.dense_index import DenseIndex, Encoder
from toolwise.tools.http_retriever import HTTPRetriever
from toolwise.tools.mcp_server import MCPConfig
from toolwise.tools.openapi import OpenAPIConfig
from toolwise.tools.played_user import PlayedUser, Say
from toolwise.tools.python import python_tool
from toolwise.tools.query_cache import QueryCache
from toolwise.tools.sandbox import EngineName, SandboxLimits, choose_engine
from toolwise.tools.search import Layout, search_tool
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


class _Search(BaseModel):
    """What the kinds of search share.

    Attributes:
        top_k: Passages of a result.
        layout: See `lay_out`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    top_k: int = Field(default=3, ge=1, le=100)
    layout: Layout = "numbered"


class SearchConfig(_Search):
    """Search over a corpus by its words (BM25).

    Attributes:
        corpus: A JSONL or Parquet file, or the folder of a saved index.
    """

    type: Literal["search"] = "search"
    corpus: Path | None = None

    def build(self) -> Tool:
        """The tool; reads the corpus.

        Raises:
            ToolwiseError: No corpus is given, or it cannot be used.
        """
        corpus = _given(self.corpus)
        read = SearchIndex.load if corpus.is_dir() else SearchIndex.from_file
        return search_tool(read(corpus), self.top_k, layout=self.layout)


class DenseSearchConfig(_Search):
    """Search over a corpus by its meaning; needs the extra ``toolwise[dense]``.

    Attributes:
        corpus: A JSONL or Parquet file, or the folder of a saved `DenseIndex`.
        encoder: Folder or hub id of an encoder such as E5.
        query_prefix: Stands before every query.
        passage_prefix: Stands before every passage.
        max_tokens: Longer texts are cut.
        time_limit: Seconds for one search.
    """

    type: Literal["dense_search"] = "dense_search"
    corpus: Path | None = None
    encoder: str = Field(min_length=1)
    query_prefix: str = "query: "
    passage_prefix: str = "passage: "
    max_tokens: int = Field(default=256, ge=8)
    time_limit: float = Field(default=10.0, gt=0)

    def build(self) -> Tool:
        """The tool; loads the encoder and embeds or reads the corpus.

        Raises:
            ToolwiseError: The extra is not installed, no corpus is given, or something cannot be used.
        """
        corpus = _given(self.corpus)
        encoder = Encoder(
            self.encoder,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
            max_tokens=self.max_tokens,
        )
        read = DenseIndex.load if corpus.is_dir() else DenseIndex.from_file
        index = read(corpus, encoder)
        return search_tool(index, self.top_k, layout=self.layout, inline=False, time_limit=self.time_limit)


class HTTPSearchConfig(_Search):
    """Search by a server with the protocol of Search-R1's retriever; see `HTTPRetriever`.

    Attributes:
        url: For instance ``http://127.0.0.1:8000/retrieve``.
        time_limit: Seconds for one search, further attempts included.
        retries: Further attempts after one that failed in passing.
        cache: Folder in which answers are kept; a query that stands there is not asked again.
    """

    type: Literal["http_search"] = "http_search"
    url: str = Field(pattern=r"^https?://[^\s/]+\S*$")
    time_limit: float = Field(default=10.0, gt=0)
    retries: int = Field(default=2, ge=0, le=10)
    cache: Path | None = None

    def build(self) -> Tool:
        """The tool; opens the cache. The server is not asked yet.

        Raises:
            ToolwiseError: The cache cannot be opened.
        """
        cache = QueryCache(self.cache) if self.cache is not None else None
        retriever = HTTPRetriever(self.url, time_limit=self.time_limit, retries=self.retries, cache=cache)
        return search_tool(
            retriever, self.top_k, layout=self.layout, inline=False, time_limit=self.time_limit
        )


class ScriptedUserConfig(BaseModel):
    """A user whose answers stand in the task."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["scripted"] = "scripted"


class EndpointUserConfig(ChatConfig):
    """A user played by a model behind an endpoint, see `PlayedUser`.

    Attributes:
        temperature: Of its replies.
        max_tokens: Most tokens of a reply.
        time_limit: Seconds for one reply, new tries included.
    """

    type: Literal["endpoint"] = "endpoint"
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    time_limit: float = Field(default=120.0, gt=0)


Connect = Callable[[EndpointUserConfig], Say]
"""Gives the language model of a played user; this room itself asks no endpoint."""


class AskUserConfig(BaseModel):
    """The user of each task.

    Attributes:
        user: Who plays it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["ask_user"] = "ask_user"
    user: Annotated[ScriptedUserConfig | EndpointUserConfig, Field(discriminator="type")] = (
        ScriptedUserConfig()
    )

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The scripted user is not written out, so that a run whose file does not name it still goes on.
        record: dict[str, Any] = write(self)
        if isinstance(self.user, ScriptedUserConfig):
            record.pop("user", None)
        return record

    def build(self, connect: Connect | None = None) -> Tool:
        """The tool.

        Raises:
            ToolwiseError: A model shall play the user, and nobody connects it.
        """
        if isinstance(self.user, ScriptedUserConfig):
            return ask_user()
        if connect is None:
            raise ToolwiseError(
                "a user behind an endpoint needs a connection",
                where="tool 'ask_user'",
                mend="pass connect= to build_toolbox",
            )
        return ask_user(PlayedUser(connect(self.user), self.user.time_limit))


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
    CalculatorConfig
    | SearchConfig
    | DenseSearchConfig
    | HTTPSearchConfig
    | AskUserConfig
    | PythonConfig
    | FunctionConfig
    | MCPConfig
    | OpenAPIConfig,
    Field(discriminator="type"),
]
"""One tool of a run, or the tools of one source, chosen by ``type``."""


def build_toolbox(configs: Sequence[ToolConfig], connect: Connect | None = None) -> Toolbox:
    """The toolbox that the configuration asks for.

    Args:
        configs: One for each tool.
        connect: Connects the tools that are played by a model behind an endpoint.

    Raises:
        ToolwiseError: Two tools have one name, a corpus cannot be read, a target cannot be imported, or a
            source of tools cannot be used.
    """
    tools: list[Tool] = []
    for config in configs:
        built = config.build(connect) if isinstance(config, AskUserConfig) else config.build()
        tools += [built] if isinstance(built, Tool) else built
    return Toolbox(tools)


def _given(corpus: Path | None) -> Path:
    if corpus is None:
        raise ToolwiseError(
            "no corpus is given",
            where="tool 'search'",
            mend="add --corpus FILE, or take a search server: tools: [{type: http_search, url: …}]",
        )
    return corpus
