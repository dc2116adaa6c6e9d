"""Policy: the model of a run with all it needs to speak and to act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from toolwise.core import RolloutTree, Task, ToolwiseError
from toolwise.dialects import Dialect, build_dialect
from toolwise.learning import LoraSettings, add_adapter, launched
from toolwise.rollout import Collector, CollectorConfig
from toolwise.sampling.config import EmbeddedConfig
from toolwise.sampling.engine import EmbeddedSampler, context_length
from toolwise.systems.connecting import connect_user
from toolwise.systems.fresh import conversation_texts, fresh_model
from toolwise.systems.model_folder import write_model, write_whole
from toolwise.systems.models import is_adapter, load_model, resolve_model
from toolwise.systems.recipe import DataFile, Recipe, RLRecipe
from toolwise.tools import Toolbox, build_toolbox

_NAMED = 10

Say = Callable[[str], None]
"""Takes one line for the user."""


@dataclass(slots=True)
class Policy:
    """A model that can be rolled out.

    Attributes:
        model: The causal language model; None where it is on servers only.
        tokenizer: Its tokenizer.
        dialect: How it writes turns.
        toolbox: What it may call.
        context: Most tokens that it sees, or that its rollouts may have, at once.
    """

    model: Any
    tokenizer: Any
    dialect: Dialect
    toolbox: Toolbox
    context: int

    def sampler(self, config: EmbeddedConfig | None = None) -> EmbeddedSampler:
        """An engine on these very weights."""
        config = config or EmbeddedConfig()
        return EmbeddedSampler(
            self.model,
            max_rows=config.rows,
            parked_tokens=config.parked_tokens,
            decode=lambda ids: str(self.tokenizer.decode(list(ids))),
        )

    def collector(self, config: CollectorConfig, seed: int) -> Collector:
        """What plays out tasks with this policy."""
        return Collector(self.sampler(), self.dialect, self.toolbox, config, seed)


def load_policy(
    recipe: Recipe, texts: Callable[[], Iterable[str]], base: Path | None = None, *, adapt: bool = False
) -> Policy:
    """The policy that a recipe starts from.

    Args:
        recipe: Says where it comes from.
        texts: Gives what the tokenizer of a fresh model is trained on.
        base: Where `keep_base` has put the fresh model of this run, if it has; None: a new one each time.
        adapt: Put in the adapter that the recipe asks for; without, it is not looked at.

    Raises:
        ToolwiseError: There is no model, or it cannot be loaded, or its template is of no use.
    """
    config = recipe.model
    if config.endpoint is not None:
        raise ToolwiseError(
            "the weights of a model behind an endpoint are not here, so it can be measured but not trained",
            where="model.endpoint",
            mend="use toolwise evaluate, rollout or probe, or give the model itself with --model",
        )
    toolbox = build_toolbox(recipe.tools, connect_user)
    # What is sharded goes from the host to the accelerators part by part.
    host = recipe.distributed.strategy == "fsdp2" and launched().size > 1
    if config.init is not None:
        if base is not None and (base / "config.json").is_file():
            model, tokenizer = load_model(str(base))
        else:
            # Every prompt shows the tools, so the tokenizer knows their descriptions; twice, to be merged.
            shown = conversation_texts((), toolbox.specs(toolbox.names) * 2)
            model, tokenizer = fresh_model(config.init, chain(texts(), shown), recipe.training.seed)
    elif config.source is not None and config.lora is not None and adapt:
        model, tokenizer = _adapted(config.source, config.lora, recipe.training.seed, host)
    elif config.source is not None:
        model, tokenizer = load_model(config.source, host=host)
    else:
        raise ToolwiseError(
            "no model is given",
            where="model.source",
            mend="add --model FOLDER_OR_HUB_ID, or --set model.init.layers=4 for a tiny one from scratch",
        )
    model.eval()
    context = context_length(model.config)
    if isinstance(recipe, RLRecipe):
        context = recipe.rollout.limits.context(context)
    return Policy(model, tokenizer, build_dialect(recipe.dialect, tokenizer), toolbox, context)


def _adapted(source: str, lora: LoraSettings, seed: int, host: bool) -> tuple[Any, Any]:
    place = resolve_model(source)
    if is_adapter(place):
        raise ToolwiseError(
            "is an adapter, and an adapter on top of it could not be loaded again",
            where=f"model '{source}'",
            mend=f"merge it first: toolwise merge {source} --out FOLDER, then --model FOLDER",
        )
    model, tokenizer = load_model(source, lora.precision(), host=host)
    base = str(Path(place).resolve()) if Path(place).is_dir() else place
    add_adapter(model, lora, base=base, seed=seed)
    return model, tokenizer


def fitting_tasks(policy: Policy, tasks: Sequence[Task], data: DataFile, room: int, say: Say) -> list[Task]:
    """The tasks whose prompts leave the policy room to write; tools they name must be there.

    Args:
        policy: Renders the prompts.
        tasks: All tasks.
        data: Says whether those that do not fit are refused or left out.
        room: Tokens that a turn may take; where less is left, only a line says so.
        say: Hears which tasks are left out, or short of room.

    Raises:
        ToolwiseError: A tool is missing, or prompts do not fit; counts and names them.
    """
    check_tools(policy.toolbox, tasks)
    lengths = {
        task.id: len(policy.dialect.render_prompt(task.prompt, policy.toolbox.specs(task.tools)))
        for task in tasks
    }
    tight = [name for name, length in lengths.items() if policy.context - room < length < policy.context]
    if tight:
        which = "all" if len(tight) == len(tasks) else f"{len(tight)} of {len(tasks)}"
        named = "" if which == "all" else f": {_listed(tight)}"
        say(f"{which} prompts leave less than {room} tokens for a turn{named}")
    return _fitting([(task.id, lengths[task.id] + 1, task) for task in tasks], policy, data, "prompts", say)


def check_tools(toolbox: Toolbox, tasks: Sequence[Task]) -> None:
    """Refuse tasks that name a tool which is not there.

    Raises:
        ToolwiseError: Names the task and the tool.
    """
    try:
        toolbox.check(tasks)
    except ToolwiseError as error:
        mend = f"{error.mend}; add others under 'tools', for instance --corpus FILE for search"
        raise ToolwiseError(error.problem, where=error.where, mend=mend) from error


def fitting_trees(
    policy: Policy, trees: Sequence[RolloutTree], data: DataFile, say: Say
) -> list[RolloutTree]:
    """The demonstrations, or pairs of answers, that the context holds whole.

    Raises:
        ToolwiseError: Some do not fit and are not to be left out; counts and names them.
    """
    sized = [
        (tree.task.id, max(len(rollout.token_ids) for rollout in tree.rollouts()), tree) for tree in trees
    ]
    what = "preferences" if any(len(tree.ends) > 1 for tree in trees) else "demonstrations"
    return _fitting(sized, policy, data, what, say)


def _fitting(
    sized: Sequence[tuple[str, int, Any]], policy: Policy, data: DataFile, what: str, say: Say
) -> list[Any]:
    long = [(name, length) for name, length, _ in sized if length > policy.context]
    if not long:
        return [item for _, _, item in sized]
    longest = max(length for _, length in long)
    problem = (
        f"{len(long)} of {len(sized)} {what} do not fit into the context of {policy.context} tokens "
        f"(the longest needs {longest}): {_listed([name for name, _ in long])}"
    )
    kept = [item for _, length, item in sized if length <= policy.context]
    key = "tasks" if what == "prompts" else what
    if data.too_long == "refuse" or not kept:
        raise ToolwiseError(
            problem,
            where=str(data.path or ""),
            mend="shorten them, take a model with a longer context (from scratch: model.init.context), or "
            f"leave them out: --set {key}.too_long=skip",
        )
    say(f"left out: {problem}")
    return kept


def _listed(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" … and {len(unique) - _NAMED} more" if len(unique) > _NAMED else ""
    return ", ".join(unique[:_NAMED]) + more


def keep_base(policy: Policy, base: Path) -> None:
    """Write a run's fresh model, whole or not at all, unless it is there; `load_policy` goes on from it.

    Raises:
        ToolwiseError: The disk refuses.
    """
    if (base / "config.json").is_file():
        return
    try:
        write_whole(base, lambda folder: write_model(folder, policy.model, policy.tokenizer))
    except OSError as error:
        raise ToolwiseError(
            f"the fresh model cannot be written: {error}", where=str(base), mend="check disk and rights"
        ) from error
