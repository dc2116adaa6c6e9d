"""Public benchmarks from their published files, as tasks that `toolwise.evaluation.benchmarks` scores."""

from toolwise.data.benchmarks.api_bank import read_api_bank, read_api_bank_toolrl
from toolwise.data.benchmarks.bfcl import CATEGORIES as BFCL_CATEGORIES
from toolwise.data.benchmarks.bfcl import read_bfcl, tool_spec
from toolwise.data.benchmarks.metatool import read_metatool_awareness, read_metatool_selection
from toolwise.data.benchmarks.questions import (
    read_bamboogle,
    read_gsm8k,
    read_math500,
    read_multihop,
    read_nq_open,
)

__all__ = [
    "BFCL_CATEGORIES",
    "read_api_bank",
    "read_api_bank_toolrl",
    "read_bamboogle",
    "read_bfcl",
    "read_gsm8k",
    "read_math500",
    "read_metatool_awareness",
    "read_metatool_selection",
    "read_multihop",
    "read_nq_open",
    "tool_spec",
]
