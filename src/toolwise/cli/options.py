"""Options that several commands share, and the recipe that they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from toolwise.core import ToolwiseError

if TYPE_CHECKING:
    from toolwise.systems import RLRecipe
    from toolwise.systems.recipe import Recipe as AnyRecipe

Format = Literal["own", "gsm8k", "rlla", "search_r1", "qa"]

_OVER_CORPUS = ("search", "dense_search")
"""Types of tools that search a corpus."""

Recipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A .yaml file, or the name of a packaged recipe.")
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="RECIPE",
        help="Dialect, tools, reward and limits: a .yaml file or a packaged name. Default: those the model "
        "was trained with, where it lies in a run folder; else grpo.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="DIR_OR_HUB_ID", help="Model folder, run folder (its newest checkpoint), or hub id."
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Instead of --model: a model behind an OpenAI-compatible server, for instance "
        "http://127.0.0.1:8000/v1. Cache, budget and rate: --set model.endpoint.cache=FILE …",
    ),
]
EndpointModel = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the model, as the server of --endpoint knows it.")
]
ApiKeyEnv = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Environment variable that holds the key of --endpoint; the key itself is written nowhere.",
    ),
]
Tasks = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Tasks or demonstrations: .jsonl or .parquet.")
]
TaskFormat = Annotated[
    Format | None, typer.Option("--format", help="Format of the file: Toolwise's own, or a published one.")
]
Corpus = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The tool 'search' is over this corpus (.jsonl or .parquet)."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key of the recipe; may be repeated."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Take only so many rows, from the start of the file.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the run (training.seed).")]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Run folder. Default: runs/ and the recipe's name.")
]


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say.

    Attributes:
        model: Instead of the recipe's.
        tasks: File of tasks or demonstrations.
        format: Its format.
        corpus: Corpus of the search tool.
        limit: Take only so many rows.
        seed: Of the run.
        overrides: ``key=value``.
        endpoint: URL of a server, instead of the recipe's model.
        endpoint_model: Name of the model there.
        api_key_env: Environment variable that holds its key.
    """

    model: str | None = None
    tasks: Path | None = None
    format: Format | None = None
    corpus: Path | None = None
    limit: int | None = None
    seed: int | None = None
    overrides: list[str] | None = None
    endpoint: str | None = None
    endpoint_model: str | None = None
    api_key_env: str | None = None

    def values(self, recipe: AnyRecipe) -> dict[str, Any]:
        """The keys of the recipe that the options set."""
        data = {"sft": "demonstrations", "dpo": "preferences", "rl": "tasks"}[recipe.stage]
        values: dict[str, Any] = {}
        if self.model is not None:
            values |= {"model.source": self.model, "model.init": None, "model.endpoint": None}
        elif self.endpoint is not None:
            if self.endpoint_model is None and recipe.model.endpoint is None:
                raise ToolwiseError(
                    "the name of the model is missing", where="--endpoint", mend="add --endpoint-model NAME"
                )
            values |= {"model.source": None, "model.init": None}
        for key, value in (
            ("base_url", self.endpoint),
            ("model", self.endpoint_model),
            ("api_key_env", self.api_key_env),
        ):
            if value is not None:
                values[f"model.endpoint.{key}"] = value
        if self.tasks is not None:
            values[f"{data}.path"] = str(self.tasks)
        if self.format is not None:
            values[f"{data}.format"] = None if self.format == "own" else self.format
        if self.limit is not None:
            values[f"{data}.limit"] = self.limit
        if self.seed is not None:
            values["training.seed"] = self.seed
        if self.corpus is not None:
            tools = [tool.model_dump(mode="json") for tool in recipe.tools]
            if not any(tool["type"] in _OVER_CORPUS for tool in tools):
                tools.append({"type": "search"})
            values["tools"] = [
                tool | {"corpus": str(self.corpus)} if tool["type"] in _OVER_CORPUS else tool
                for tool in tools
            ]
        return values


def policy_name(recipe: RLRecipe, given: Given, named: str | None) -> str:
    """What the model is called in results: as the user says, else after its folder or its name."""
    from toolwise.systems.result_file import file_stem

    endpoint = recipe.model.endpoint
    source = endpoint.model if endpoint is not None else given.model or recipe.system
    return named or file_stem(Path(source).name)


def training_recipe(source: str, given: Given, stage: Literal["sft", "dpo", "rl"] | None = None) -> AnyRecipe:
    """The recipe with what the options say.

    Raises:
        ToolwiseError: It cannot be used, or is one of another stage.
    """
    from toolwise.systems import load_recipe

    # The keys of the options depend on the stage, and the tools that stay on the recipe.
    plain = load_recipe(source)
    if stage is not None and plain.stage != stage:
        raise ToolwiseError(
            f"is one of stage {plain.stage}",
            where=f"recipe '{source}'",
            mend=f"use: toolwise train {plain.stage} {source}",
        )
    return load_recipe(source, given.overrides or (), given.values(plain))


def model_recipe(config: str | None, given: Given) -> RLRecipe:
    """How to roll out a model: by `config`, else as its own run did, else by ``grpo``.

    Raises:
        ToolwiseError: It cannot be used, or is one of supervised training.
    """
    from toolwise.systems import RLRecipe, load_recipe, recipe_of_run

    recipe: AnyRecipe | None = None
    if config is None and given.model is not None:
        recipe = recipe_of_run(Path(given.model), given.overrides or (), given.values)
    if recipe is None:
        source = config or "grpo"
        plain = load_recipe(source)
        recipe = load_recipe(source, given.overrides or (), given.values(plain))
    if not isinstance(recipe, RLRecipe):
        raise ToolwiseError(
            f"is one of stage {recipe.stage}",
            where=f"recipe '{config}'",
            mend="give one of stage rl, for instance grpo",
        )
    return recipe
