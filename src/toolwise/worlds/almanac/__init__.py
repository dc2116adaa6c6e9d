"""Almanac: a seeded world, and a tiny model that has read a known part of it.

Which facts the model can know is decided by what stands in its pretraining text; what has changed since,
never stood there, cannot be computed in the head or is only in the user's mind needs a tool.
"""

from toolwise.worlds.almanac.questions import KINDS, TOOLS, Question, Split, ask, sample_questions, tasks
from toolwise.worlds.almanac.text import pretraining_documents
from toolwise.worlds.almanac.world import Almanac, WorldSize, build_world

__all__ = [
    "KINDS",
    "TOOLS",
    "Almanac",
    "Question",
    "Split",
    "WorldSize",
    "ask",
    "build_world",
    "pretraining_documents",
    "sample_questions",
    "tasks",
]
