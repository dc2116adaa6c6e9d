"""MinPrompt: the few sentences that cover a text's facts, as questions to train on (arXiv 2310.05007)."""

from toolwise.data.minprompt.entities import Entity, Finder, build_finder
from toolwise.data.minprompt.graph import SentenceGraph, sentence_graph
from toolwise.data.minprompt.graph_stages import graph_stage, select_stage
from toolwise.data.minprompt.pipeline import run_pipeline
from toolwise.data.minprompt.question_stages import question_stage, record_stage
from toolwise.data.minprompt.selection import Selection, degrees, select
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.sources import Question, Text, read_questions
from toolwise.data.minprompt.spread import ray_run
from toolwise.data.minprompt.stage import STAGES, StageReport, read_report, read_stage, stage_path
from toolwise.data.minprompt.text_stages import entity_stage, read_stage_texts, sentence_stage

__all__ = [
    "STAGES",
    "Entity",
    "Finder",
    "MinPromptSettings",
    "Question",
    "Selection",
    "SentenceGraph",
    "StageReport",
    "Text",
    "build_finder",
    "degrees",
    "entity_stage",
    "graph_stage",
    "question_stage",
    "ray_run",
    "read_questions",
    "read_report",
    "read_stage",
    "read_stage_texts",
    "record_stage",
    "run_pipeline",
    "select",
    "select_stage",
    "sentence_graph",
    "sentence_stage",
    "stage_path",
]
