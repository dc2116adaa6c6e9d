"""Answers as text: normalisation, exact match and token F1 against any of several aliases."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import Task, ToolwiseError

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single spaces (SQuAD; Search-R1 ``qa_em``).

    Punctuation is deleted, not replaced: "rock-n-roll" becomes "rocknroll". Typographic quotes, dashes and
    accents stay.
    """
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, golds: Sequence[str]) -> bool:
    """Whether the normalised prediction equals one of the normalised golds."""
    normal = normalize_answer(prediction)
    return any(normal == normalize_answer(gold) for gold in golds)


def contains_match(prediction: str, golds: Sequence[str]) -> bool:
    """Whether one of the normalised golds is a substring of the normalised prediction."""
    normal = normalize_answer(prediction)
    return any(normalize_answer(gold) in normal for gold in golds)


def f1_score(prediction: str, golds: Sequence[str]) -> float:
    """Largest token F1 with one of the golds, after normalisation, in [0, 1] (SQuAD).

    Two answers that normalise to nothing agree; an empty one and a full one do not.
    """
    return max((_f1(normalize_answer(prediction), normalize_answer(gold)) for gold in golds), default=0.0)


def _f1(prediction: str, gold: str) -> float:
    ours, theirs = prediction.split(), gold.split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    # 2PR / (P + R) with P = common / |ours| and R = common / |theirs|
    return 2 * common / (len(ours) + len(theirs))


def reference_answers(task: Task) -> tuple[str, ...]:
    """The accepted answers of a task.

    ``task.answer`` may be a string, a number, a list of aliases, or ``{"target": …}`` with one of these.

    Raises:
        ToolwiseError: If the task has no answer to compare with.
    """
    found = _aliases(task.answer)
    if not found:
        raise ToolwiseError(
            f"answer is {task.answer!r}, which no prediction can be compared with",
            where=f"task '{task.id}', field 'answer'",
            mend="give a string or a list of aliases, or choose another reward",
        )
    return found


def _aliases(answer: Any) -> tuple[str, ...]:
    if isinstance(answer, Mapping):
        return _aliases(answer.get("target"))
    if isinstance(answer, str):
        return (answer,)
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return (str(answer),)
    if isinstance(answer, Sequence):
        return tuple(alias for member in answer for alias in _aliases(member))
    return ()
