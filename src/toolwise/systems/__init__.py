"""Systems: recipes of published systems, and what trains, evaluates and tries a model by them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolwise.systems.evaluating import Evaluation, evaluate_model
    from toolwise.systems.loading import load_recipe, packaged_recipes, recipe_of_run
    from toolwise.systems.models import load_model
    from toolwise.systems.policy import Policy, load_policy
    from toolwise.systems.recipe import DPORecipe, Recipe, RLRecipe, SFTRecipe
    from toolwise.systems.table import SYSTEMS, SystemEntry
    from toolwise.systems.training import train_dpo, train_rl, train_sft

_HOMES = {
    "DPORecipe": "recipe",
    "RLRecipe": "recipe",
    "Recipe": "recipe",
    "SFTRecipe": "recipe",
    "load_recipe": "loading",
    "packaged_recipes": "loading",
    "recipe_of_run": "loading",
    "Policy": "policy",
    "load_model": "models",
    "load_policy": "policy",
    "Evaluation": "evaluating",
    "evaluate_model": "evaluating",
    "train_dpo": "training",
    "train_rl": "training",
    "train_sft": "training",
    "SYSTEMS": "table",
    "SystemEntry": "table",
}

__all__ = [
    "SYSTEMS",
    "DPORecipe",
    "Evaluation",
    "Policy",
    "RLRecipe",
    "Recipe",
    "SFTRecipe",
    "SystemEntry",
    "evaluate_model",
    "load_model",
    "load_policy",
    "load_recipe",
    "packaged_recipes",
    "recipe_of_run",
    "train_dpo",
    "train_rl",
    "train_sft",
]


def __getattr__(name: str) -> object:
    """Import a part, and torch with it, only when it is asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
