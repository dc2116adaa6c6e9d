"""Settings of the MinPrompt pipeline."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from toolwise.core.endpoint import ChatConfig
from toolwise.data.minprompt.entities import FinderName
from toolwise.data.minprompt.selection import Isolated, Mode
from toolwise.data.minprompt.sentences import Splitter


class MinPromptSettings(BaseModel):
    """What the stages do; the defaults differ from the release where that is faulty, see `published`.

    Attributes:
        splitter: How sentences are found.
        least_words: Sentences of fewer words are left out, ≥ 1.
        longest_sentence: Sentences of more characters are left out.
        duplicates: What becomes of a sentence, or a text, that stands twice.
        entities: What finds entities.
        entity_model: Of ``spacy`` and ``gliner``.
        mode: See `selection.select`.
        isolated: See `selection.select`.
        hub_limit: Entities in more sentences than this connect nothing; None: all do.
        hub_share: Entities in at least this share of the sentences are reported as hubs, in (0, 1].
        questions: ``template``: grammar, no model. ``llm``: a model behind `endpoint`. ``cloze``: the
            sentence with
            the entity masked (Gotta, arXiv 2306.04101). ``published``: the wh-swap of the release.
        fallback: What is asked where the grammar knows no natural question.
        endpoint: For ``llm``, and for `check_reader`.
        check_reader: Ask the endpoint to answer each question from its context; those whose answer has a
            smaller
            F1 than `reader_f1` are left out.
        reader_f1: In (0, 1].
        context: Longest context of a record, in characters: of longer texts, the sentences around.
        shape: ``few-shot``: one format for questions and augmentation. ``release``: the augmentation's stops
            and
            blanks as they were released.
        published: The peculiarities of the release: "." splitting, no filters, wh-swap with "??", edges
            counted
            once for each shared entity, isolated sentences left out, any uncovered sentence picked, its
            shape.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    splitter: Splitter = "sentencex"
    least_words: int = Field(default=3, ge=1)
    longest_sentence: int = Field(default=1000, ge=10)
    duplicates: Literal["drop", "keep"] = "drop"
    entities: FinderName = "rules"
    entity_model: str | None = None
    mode: Mode = "cover"
    isolated: Isolated = "keep"
    hub_limit: int | None = Field(default=None, ge=1)
    hub_share: float = Field(default=0.05, gt=0, le=1)
    questions: Literal["template", "llm", "cloze", "published"] = "template"
    fallback: Literal["none", "cloze", "published"] = "cloze"
    endpoint: ChatConfig | None = None
    check_reader: bool = False
    reader_f1: float = Field(default=0.5, gt=0, le=1)
    context: int = Field(default=4000, ge=100)
    shape: Literal["few-shot", "release"] = "few-shot"
    published: bool = False

    def settled(self) -> MinPromptSettings:
        """The same, with what `published` means."""
        if not self.published:
            return self
        values = {
            "splitter": "published",
            "least_words": 1,
            "longest_sentence": 10**9,
            "duplicates": "keep",
            "mode": "code",
            "isolated": "drop",
            "questions": "published",
            "context": 10**9,
            "shape": "release",
        }
        return self.model_copy(update=values)
