"""``toolwise rollout`` and ``toolwise show mask``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from toolwise.cli import options
from toolwise.core import ToolwiseError

if TYPE_CHECKING:
    from toolwise.core import Reward

Samples = Annotated[int, typer.Option(min=1, help="Rollouts of each task.")]


def rollout(
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    endpoint_model: options.EndpointModel = None,
    api_key_env: options.ApiKeyEnv = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    config: options.Config = None,
    corpus: options.Corpus = None,
    limit: Annotated[int, typer.Option(min=1, help="Tasks to try, from the start of the file.")] = 3,
    samples: Samples = 1,
    greedy: Annotated[bool, typer.Option("--greedy", help="Take the likeliest token each time.")] = False,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Try a model on tasks and read its turns: thoughts, calls, results, answers, rewards.

    Example: toolwise rollout --model runs/cold --tasks train.jsonl --limit 2 --samples 2
    """
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    from toolwise.cli.painting import paint_rollout, plain_lines
    from toolwise.systems.trying import try_model

    given = options.Given(
        model, tasks, format, corpus, limit, seed, set_, endpoint, endpoint_model, api_key_env
    )
    recipe = options.model_recipe(config, given)
    console = Console()
    for tree, rewards in try_model(recipe, samples=samples, greedy=greedy, say=plain_lines(console)):
        # Text, not markup: brackets in ids are what they are.
        console.print(Rule(Text(tree.task.id)))
        rollouts = tree.rollouts()
        scores: Sequence[Reward | None] = rewards or [None] * len(rollouts)
        for number, (path, reward) in enumerate(zip(rollouts, scores, strict=True)):
            if samples > 1:
                console.print(Rule(f"sample {number}", style="dim"))
            paint_rollout(console, path, reward)
        if isinstance(tree.task.answer, str):
            console.print(f"expected: {tree.task.answer}", style="dim", markup=False, highlight=False)


def show_mask(
    recipe: options.Recipe = "sft",
    model: options.Model = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    corpus: options.Corpus = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show, from the start of the file.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="Rollouts of each task, for a recipe of stage rl.")] = 4,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Show exactly which tokens would be trained on, as the learner gets them.

    With a recipe of stage sft these are the file's demonstrations, with one of stage rl fresh rollouts of its
    tasks, coloured by advantage.

    Example: toolwise show mask sft --model runs/cold --tasks demos.jsonl
    """
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    from toolwise.cli.painting import legend, paint_mask, plain_lines
    from toolwise.systems import DPORecipe, SFTRecipe
    from toolwise.systems.trying import masks_of_demonstrations, masks_of_rollouts

    chosen = options.training_recipe(recipe, options.Given(model, tasks, format, corpus, limit, seed, set_))
    console = Console()
    supervised = isinstance(chosen, SFTRecipe)
    if isinstance(chosen, DPORecipe):
        raise ToolwiseError(
            "is one of stage dpo, whose answers are trained on whole",
            where=f"recipe '{recipe}'",
            mend="show the mask of a recipe of stage sft or rl",
        )
    if isinstance(chosen, SFTRecipe):
        masks = masks_of_demonstrations(chosen, say=plain_lines(console))
    else:
        masks = masks_of_rollouts(chosen, samples=samples, say=plain_lines(console))
    for mask in masks:
        trained = sum(weight > 0 for weight in mask.weights)
        console.print(Rule(Text(f"{mask.name}: {trained} of {len(mask.tokens)} tokens trained")))
        paint_mask(console, mask.tokens, mask.weights, None if supervised else mask.advantages)
    console.print(legend(not supervised))
