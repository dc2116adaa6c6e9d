"""Metrics over held-out questions, their table, and the knowledge-boundary probe.

An `Outcome` is what one question came to; `summarise` turns outcomes into a `Summary` with 95% intervals.
"""

from toolwise.evaluation.intervals import Interval, bootstrap_ratio, wilson
from toolwise.evaluation.metrics import MEASURES, Summary, summarise
from toolwise.evaluation.outcomes import Outcome, check_info, errors_of, outcome_of
from toolwise.evaluation.probe import (
    Knowledge,
    KnowledgeLabel,
    Thresholds,
    label_knowledge,
    mark_boundary,
)
from toolwise.evaluation.smart import JoinedOveruse, joined_overuse
from toolwise.evaluation.table import knowledge_table, results_table

__all__ = [
    "MEASURES",
    "Interval",
    "JoinedOveruse",
    "Knowledge",
    "KnowledgeLabel",
    "Outcome",
    "Summary",
    "Thresholds",
    "bootstrap_ratio",
    "check_info",
    "errors_of",
    "joined_overuse",
    "knowledge_table",
    "label_knowledge",
    "mark_boundary",
    "outcome_of",
    "results_table",
    "summarise",
    "wilson",
]
