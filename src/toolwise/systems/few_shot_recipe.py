"""FewShotRecipe: question answering by prompts, with augmentation or without (FewshotQA, MinPrompt)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolwise.core import ToolwiseError
from toolwise.systems.loading import parse_yaml, set_keys
from toolwise.systems.recipe import LearnerSettings, ModelConfig
from toolwise.systems.refusals import refusal

FEW_SHOT_RECIPES = ("minprompt",)
"""The packaged recipes of this kind."""


class FewShotTraining(BaseModel):
    """Length and rhythm.

    Attributes:
        epochs: Passes over the questions; an epoch ends with them, the augmentation begins anew.
        batch_size: Questions, and as many augmentation records, of one step.
        weight: λ of L = L_ori + λ·L_aug; 0 is FewshotQA.
        checkpoint_every: Steps.
        keep: Which epoch's weights are tested: the ``last`` one's, or the ``best`` one's by F1 on as many
            other questions (published).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: float = Field(default=25, gt=0)
    batch_size: int = Field(default=2, ge=1)
    weight: float = Field(default=1.0, ge=0)
    checkpoint_every: int = Field(default=500, ge=1)
    keep: Literal["last", "best"] = "last"


class FewShotRecipe(BaseModel):
    """Few-shot question answering.

    Attributes:
        system: Name of the system.
        model: The causal language model to start from.
        learner: How weights are updated.
        training: Length and rhythm.
        shots: Questions to train on, one run each.
        seeds: Draw the questions, the weights of a fresh model and the orders.
        test_share: Share of the articles (or contexts) whose questions are kept for the test, in (0, 1).
        test_limit: Most test questions.
        source_tokens: Sources are cut to so many tokens.
        answer_tokens: Most new tokens; the echoed question must fit in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    system: str = Field(default="minprompt", min_length=1)
    model: ModelConfig = ModelConfig()
    learner: LearnerSettings = LearnerSettings(learning_rate=2e-5, grad_clip=None)
    training: FewShotTraining = FewShotTraining()
    shots: tuple[int, ...] = (16, 32, 64, 128)
    seeds: tuple[int, ...] = (42, 43, 44, 45, 46)
    test_share: float = Field(default=0.3, gt=0, lt=1)
    test_limit: int | None = Field(default=None, ge=1)
    source_tokens: int = Field(default=800, ge=16)
    answer_tokens: int = Field(default=50, ge=1)


def load_few_shot(
    source: str | Path = "minprompt", overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> FewShotRecipe:
    """The recipe of a ``.yaml`` file, or the packaged one.

    Args:
        source: A file, or ``minprompt``.
        overrides: ``a.b=c``, as for other recipes.
        values: Values by dotted key; applied first.

    Raises:
        ToolwiseError: There is none, or a key or a value in it is wrong.
    """
    where = str(source)
    if Path(where).suffix in (".yaml", ".yml"):
        try:
            text = Path(where).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolwiseError(f"cannot be read: {error}", where=where, mend="check the path") from error
    elif where in FEW_SHOT_RECIPES:
        text = files("toolwise.systems").joinpath(f"{where}.yaml").read_text(encoding="utf-8")
    else:
        raise ToolwiseError("is no recipe of this kind", where=where, mend="give a .yaml file, or minprompt")
    raw = parse_yaml(text, where)
    set_keys(raw, values or {}, overrides)
    try:
        return FewShotRecipe.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, raw, FewShotRecipe, where) from error
