"""The best epoch of a few-shot run, by F1 on development questions (FewshotQA, MinPrompt)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.sources import Question
from toolwise.rewards.text import f1_score
from toolwise.systems.model_folder import write_model, write_whole
from toolwise.systems.models import load_model

Answer = Callable[[], Sequence[str]]
"""Answers the development questions with the present weights."""
_RECORD = "development.json"


class BestEpoch:
    """Keeps the weights of the epoch with the highest F1; of several, the first.

    Args:
        folder: Where they are kept; a run that goes on finds them there.
        questions: The development questions.
        answer: Answers them.
        model: What is trained.
        tokenizer: Kept beside it.
        steps_per_epoch: After so many steps an epoch ends.
    """

    def __init__(
        self,
        folder: Path,
        questions: Sequence[Question],
        answer: Answer,
        model: Any,
        tokenizer: Any,
        steps_per_epoch: int,
    ) -> None:
        self._folder, self._questions, self._answer = folder, questions, answer
        self._model, self._tokenizer, self._every = model, tokenizer, steps_per_epoch

    def after_step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Measure at the end of an epoch; takes what `Progress` gets.

        Raises:
            ToolwiseError: The weights cannot be written.
        """
        if step % self._every and step != steps:
            return
        self._model.eval()
        answers = self._answer()
        found = fmean(f1_score(said, one.answers) for said, one in zip(answers, self._questions, strict=True))
        if self._folder.is_dir() and found <= self.record["f1"]:
            return

        def write(folder: Path) -> None:
            write_model(folder, self._model, self._tokenizer)
            (folder / _RECORD).write_text(json.dumps({"step": step, "f1": found}), encoding="utf-8")

        try:
            write_whole(self._folder, write)
        except OSError as error:
            raise ToolwiseError(
                f"the best epoch cannot be written: {error}",
                where=str(self._folder),
                mend="check disk and rights",
            ) from error

    @property
    def record(self) -> dict[str, float]:
        """``step`` and ``f1`` of the best epoch so far."""
        found: dict[str, float] = json.loads((self._folder / _RECORD).read_text(encoding="utf-8"))
        return found

    def load(self) -> Any:
        """The best epoch's model."""
        model, _ = load_model(str(self._folder), seq2seq=True)
        return model
