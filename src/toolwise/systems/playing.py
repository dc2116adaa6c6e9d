"""Who plays the tasks: a model in this process, one on vLLM servers, or one behind an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.core.endpoint import ChatConfig
from toolwise.rollout import ChatCollector, Collector, Player
from toolwise.sampling import EndpointChat, Sampler
from toolwise.sampling.config import VLLMConfig
from toolwise.systems.connecting import connect_user
from toolwise.systems.material import task_texts
from toolwise.systems.policy import Say, check_tools, fitting_tasks, load_policy
from toolwise.systems.recipe import RLRecipe
from toolwise.systems.served import ServedPolicy
from toolwise.tools import Toolbox, build_toolbox


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that is ready to play tasks.

    Attributes:
        player: Plays them.
        tasks: Those that it can play.
        decode: Text of one token; None for a model behind an endpoint, whose tokens nobody sees.
        spent: What an endpoint has been asked so far, in one line; empty for a model in this process.
        at_once: How many rollouts it plays well at the same time.
        close: Lets go of tools and servers; to be called when it is done.
    """

    player: Player
    tasks: list[Task]
    decode: Callable[[int], str] | None
    spent: Callable[[], str]
    at_once: int
    close: Callable[[], None]


def single_turns(recipe: RLRecipe, **rollout: Any) -> RLRecipe:
    """A recipe without tools of its own, whose rollouts are one turn each: calls in it cannot be run.

    Args:
        recipe: Any.
        rollout: Further values of its ``rollout``.
    """
    limits = recipe.rollout.limits.model_copy(update={"max_turns": 1})
    settings = recipe.rollout.model_copy(update={"limits": limits, **rollout})
    return recipe.model_copy(update={"tools": (), "rollout": settings})


def prepare(recipe: RLRecipe, tasks: Sequence[Task], say: Say, *, every_tool: bool = False) -> Prepared:
    """The model of a recipe, ready to play tasks.

    Args:
        recipe: Model, dialect, tools, limits.
        tasks: What it shall play; what does not fit into its context is treated as the recipe says.
        say: Hears what the user should know.
        every_tool: Offer all tools of the recipe with each task, instead of those that it names.

    Raises:
        ToolwiseError: The model or the tasks cannot be used.
    """
    if recipe.model.endpoint is not None:
        return _behind_endpoint(recipe, recipe.model.endpoint, tasks, every_tool)
    sampler: Sampler
    if isinstance(recipe.sampler, VLLMConfig):
        served = ServedPolicy(recipe, recipe.sampler, lambda: task_texts(tasks), say)
        policy, sampler, at_once, close = served.policy, served.sampler, served.at_once, served.close
    else:
        policy = load_policy(recipe, lambda: task_texts(tasks))
        sampler, at_once = policy.sampler(recipe.sampler), recipe.sampler.rows
        close = policy.toolbox.close
    try:
        if every_tool:
            tasks = _with_tools(tasks, policy.toolbox)
        fitting = fitting_tasks(policy, tasks, recipe.tasks, recipe.rollout.limits.max_turn_tokens, say)
    except BaseException:
        close()
        raise
    return Prepared(
        Collector(sampler, policy.dialect, policy.toolbox, recipe.rollout, recipe.training.seed),
        fitting,
        decode=lambda token: str(policy.tokenizer.decode([token])),
        spent=lambda: "",
        at_once=at_once,
        close=close,
    )


def _with_tools(tasks: Sequence[Task], toolbox: Toolbox) -> list[Task]:
    return [replace(task, tools=toolbox.names) for task in tasks]


def _behind_endpoint(
    recipe: RLRecipe, config: ChatConfig, tasks: Sequence[Task], every_tool: bool
) -> Prepared:
    if recipe.dialect.type != "hermes":
        raise ToolwiseError(
            f"is {recipe.dialect.type}; a model behind an endpoint calls tools by the protocol's own calls",
            where="dialect.type",
            mend="set it to hermes, or give the model itself with --model",
        )
    if recipe.dialect.template_arguments:
        raise ToolwiseError(
            "cannot be applied here: the server renders the template",
            where="dialect.template_arguments",
            mend="send them by model.endpoint.extra, for vLLM: {chat_template_kwargs: {…}}",
        )
    toolbox = build_toolbox(recipe.tools, connect_user)
    if every_tool:
        tasks = _with_tools(tasks, toolbox)
    check_tools(toolbox, tasks)
    client = EndpointChat(config)
    player = ChatCollector(client, toolbox, recipe.rollout, recipe.training.seed, config.concurrency)
    return Prepared(
        player,
        list(tasks),
        decode=None,
        spent=lambda: f"endpoint: {client.spending.said()}",
        at_once=config.concurrency,
        close=toolbox.close,
    )
