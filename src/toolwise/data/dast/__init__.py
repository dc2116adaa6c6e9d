"""DAST: difficulty-aware self-training (arXiv 2503.09029)."""

from toolwise.data.dast.levels import LEVELS, Level, LevelThresholds, accuracy_band
from toolwise.data.dast.pipeline import DastReport, run_dast
from toolwise.data.dast.plan import DastPlan, uniform_targets
from toolwise.data.dast.sampling import Draw, Drawn, Shot, augment, estimate, preference_pairs

__all__ = [
    "LEVELS",
    "DastPlan",
    "DastReport",
    "Draw",
    "Drawn",
    "Level",
    "LevelThresholds",
    "Shot",
    "accuracy_band",
    "augment",
    "estimate",
    "preference_pairs",
    "run_dast",
    "uniform_targets",
]
