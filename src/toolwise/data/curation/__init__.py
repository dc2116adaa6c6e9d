"""Curation: what a data set should lose before a model sees it, how it is split, and its card."""

from toolwise.data.curation.card import CardText, card, write_card
from toolwise.data.curation.config import CurationConfig
from toolwise.data.curation.contamination import EvaluationNgrams, Overlap
from toolwise.data.curation.duplicates import NearDuplicates, exact_key, jaccard, shingles
from toolwise.data.curation.language import LanguageGuess, identify, script_of
from toolwise.data.curation.pipeline import Curated, curate
from toolwise.data.curation.rows import SourceRow, read_sources, row_texts
from toolwise.data.curation.split import SPLITS, assign_split

__all__ = [
    "SPLITS",
    "CardText",
    "Curated",
    "CurationConfig",
    "EvaluationNgrams",
    "LanguageGuess",
    "NearDuplicates",
    "Overlap",
    "SourceRow",
    "assign_split",
    "card",
    "curate",
    "exact_key",
    "identify",
    "jaccard",
    "read_sources",
    "row_texts",
    "script_of",
    "shingles",
    "write_card",
]
