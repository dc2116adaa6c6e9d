"""NILE: instruction data brought in line with what a model knows (arXiv 2412.16686)."""

from toolwise.data.nile.filtering import Filtered, filter_consistent
from toolwise.data.nile.knowledge import Completion, demonstrations_of, extract_knowledge, knowledge_prompt
from toolwise.data.nile.pipeline import NileConfig, NileModels, NileReport, run_nile
from toolwise.data.nile.revision import revise
from toolwise.data.nile.rows import InstructionRow, instruction_rows
from toolwise.data.nile.scores import word_cosine

__all__ = [
    "Completion",
    "Filtered",
    "InstructionRow",
    "NileConfig",
    "NileModels",
    "NileReport",
    "demonstrations_of",
    "extract_knowledge",
    "filter_consistent",
    "instruction_rows",
    "knowledge_prompt",
    "revise",
    "run_nile",
    "word_cosine",
]
