"""Public benchmarks of tool use: how an output is scored, and what is reported.

An item is a `Task`; its prompt and tools are what the model gets to see. `Output` is what the model wrote:
from a file, a rollout or a chat model's message (`Output.from_message`). `score_outputs` joins the two.
"""

from toolwise.evaluation.benchmarks.api_bank import (
    api_bank_benchmark,
    api_bank_toolrl_benchmark,
    score_request,
    score_toolrl,
)
from toolwise.evaluation.benchmarks.benchmark import (
    Benchmark,
    ItemScore,
    Measure,
    ScoredItem,
    score_outputs,
)
from toolwise.evaluation.benchmarks.bfcl import bfcl_benchmark, bfcl_measures, score_bfcl
from toolwise.evaluation.benchmarks.bfcl_check import Fault, check_calls
from toolwise.evaluation.benchmarks.bfcl_conversation import play_bfcl
from toolwise.evaluation.benchmarks.bfcl_multi_turn import check_turns
from toolwise.evaluation.benchmarks.mathematics import mathematics_benchmark, score_mathematics
from toolwise.evaluation.benchmarks.metatool import (
    metatool_awareness_benchmark,
    metatool_selection_benchmark,
    score_awareness,
    score_selection,
)
from toolwise.evaluation.benchmarks.output import Output
from toolwise.evaluation.benchmarks.results import benchmark_record, item_record, measures_table
from toolwise.evaluation.benchmarks.short_answers import (
    score_short_answer,
    short_answer,
    short_answer_benchmark,
)

__all__ = [
    "Benchmark",
    "Fault",
    "ItemScore",
    "Measure",
    "Output",
    "ScoredItem",
    "api_bank_benchmark",
    "api_bank_toolrl_benchmark",
    "benchmark_record",
    "bfcl_benchmark",
    "bfcl_measures",
    "check_calls",
    "check_turns",
    "item_record",
    "mathematics_benchmark",
    "measures_table",
    "metatool_awareness_benchmark",
    "metatool_selection_benchmark",
    "play_bfcl",
    "score_awareness",
    "score_bfcl",
    "score_mathematics",
    "score_outputs",
    "score_request",
    "score_selection",
    "score_short_answer",
    "score_toolrl",
    "short_answer",
    "short_answer_benchmark",
]
