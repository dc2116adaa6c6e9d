"""DPO: prefer one answer to another, without a reward model (Rafailov et al. 2023, arXiv 2305.18290)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import logsigmoid


class DPOLossConfig(BaseModel):
    """Direct preference optimisation.

    Attributes:
        beta: Strength of the pull to the reference policy, > 0; larger stays closer.
        label_smoothing: Share of the pairs that are taken to be the wrong way round, in [0, 0.5)
            (conservative DPO, Mitchell 2023).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: Literal["dpo"] = "dpo"
    beta: float = Field(default=0.1, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)


def dpo_losses(config: DPOLossConfig, chosen: Tensor, rejected: Tensor) -> Tensor:
    """Loss of each pair (eq. 7): −(1 − ε)·log σ(β(h_w − h_l)) − ε·log σ(−β(h_w − h_l)).

    Args:
        config: β and ε.
        chosen: h_w = log π(y_w|x) − log π_ref(y_w|x), sums over tokens, shape (B,).
        rejected: h_l, likewise.

    Returns:
        Shape (B,), each > 0; log 2 where policy and reference agree.
    """
    margin = config.beta * (chosen - rejected)
    smoothing = config.label_smoothing
    return -(1 - smoothing) * logsigmoid(margin) - smoothing * logsigmoid(-margin)
