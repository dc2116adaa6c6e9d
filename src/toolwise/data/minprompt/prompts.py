"""The prompt shapes of FewshotQA, MinPrompt and Gotta, and how answers are read from what a model writes."""

from __future__ import annotations

from typing import Literal

from toolwise.data.minprompt.sources import collapsed

Shape = Literal["few-shot", "release"]
MASK = "<mask>"


def prompt_source(question: str, context: str, shape: Shape = "few-shot") -> str:
    """What the model reads.

    Args:
        question: The question.
        context: The paragraph.
        shape: ``few-shot``: the format of FewshotQA, blanks collapsed; the one default for questions and
            augmentation. ``release``: that of MinPrompt's released augmentation, as it stands in its file;
            its
            loader collapses the blanks.
    """
    if shape == "release":
        return f"Question: {question}. Answer:  {MASK} . Context: {context}"
    return collapsed(f"Question: {question} Answer: {MASK}. Context: {context}")


def prompt_target(question: str, answer: str, shape: Shape = "few-shot") -> str:
    """What the model is to write: the question again, and the answer; all of it is learned."""
    target = f"Question: {question} Answer: {answer}"
    return target if shape == "release" else collapsed(target)


def extract_answer(text: str, occurrence: Literal["last", "first"] = "last") -> str:
    """The answer in what a model wrote: after "Answer:" and before "Context", stripped; empty without one.

    Args:
        text: What was written.
        occurrence: The release takes the first "Answer:", which a question that holds the word breaks.
    """
    parts = text.split("Answer:")
    if len(parts) < 2:
        return ""
    return parts[1 if occurrence == "first" else -1].partition("Context")[0].strip()


def cloze_question(sentence: str, start: int, end: int) -> str:
    """The sentence with one mention masked: Gotta's question."""
    return f"{sentence[:start]}{MASK}{sentence[end:]}"
