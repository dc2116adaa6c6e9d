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
from toolwise.evaluation.smart_metrics import (
    Intention,
    Share,
    accuracy,
    intention_coverage,
    macro_decrease,
    macro_increase,
    missing_details_recovery,
    tools_used,
    underuse,
)
from toolwise.evaluation.table import knowledge_table, results_table

__all__ = [
    "MEASURES",
    "Intention",
    "Interval",
    "JoinedOveruse",
    "Knowledge",
    "KnowledgeLabel",
    "Outcome",
    "Share",
    "Summary",
    "Thresholds",
    "accuracy",
    "bootstrap_ratio",
    "check_info",
    "errors_of",
    "intention_coverage",
    "joined_overuse",
    "knowledge_table",
    "label_knowledge",
    "macro_decrease",
    "macro_increase",
    "mark_boundary",
    "missing_details_recovery",
    "outcome_of",
    "results_table",
    "summarise",
    "tools_used",
    "underuse",
    "wilson",
]
