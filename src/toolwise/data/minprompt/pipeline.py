"""MinPrompt from a folder of text to training records (arXiv 2310.05007): seven stages, a file each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolwise.data.minprompt.graph_stages import graph_stage, select_stage
from toolwise.data.minprompt.question_stages import question_stage, record_stage
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.stage import StageReport
from toolwise.data.minprompt.text_stages import entity_stage, read_stage_texts, sentence_stage


def run_pipeline(
    source: Path, out: Path, settings: MinPromptSettings, model: Any = None
) -> list[StageReport]:
    """All stages; those whose input and settings are as the last time are read instead of done."""
    return [
        read_stage_texts(source, out, settings),
        sentence_stage(out, settings),
        entity_stage(out, settings),
        graph_stage(out, settings),
        select_stage(out, settings),
        question_stage(out, settings, model),
        record_stage(out, settings),
    ]
