"""SMART-ER: training data that shows where knowledge ends (Qian et al. 2025, arXiv 2502.11435)."""

from toolwise.data.smart_er.chain import played_user
from toolwise.data.smart_er.pairs import demonstration, segments, training_pairs
from toolwise.data.smart_er.pipeline import Written, run_pipeline, write_training
from toolwise.data.smart_er.sources import DOMAIN_TOOLS, DOMAINS, Domain, SourceQuestion, read_source
from toolwise.data.stage import Dropped, StageReport, run_stage

__all__ = [
    "DOMAINS",
    "DOMAIN_TOOLS",
    "Domain",
    "Dropped",
    "SourceQuestion",
    "StageReport",
    "Written",
    "demonstration",
    "played_user",
    "read_source",
    "run_pipeline",
    "run_stage",
    "segments",
    "training_pairs",
    "write_training",
]
