"""Entities of sentences and their types; the labels are those of OntoNotes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.extras import need

LABELS = (
    "CARDINAL", "DATE", "EVENT", "FAC", "GPE", "LANGUAGE", "LAW", "LOC", "MONEY", "NORP", "ORDINAL", "ORG",
    "PERCENT", "PERSON", "PRODUCT", "QUANTITY", "TIME", "WORK_OF_ART",
)  # fmt: skip
"""The labels of OntoNotes; the embedded finder adds MISC for capitalised names that it cannot place."""
FinderName = Literal["rules", "spacy", "gliner"]


@dataclass(frozen=True, slots=True)
class Entity:
    """A named thing in a sentence.

    Attributes:
        text: As it stands there.
        label: One of `LABELS`, or a finder's own.
        start: Its place in the sentence, in characters.
    """

    text: str
    label: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


class Finder(Protocol):
    """Finds the entities of sentences."""

    def __call__(self, sentences: Sequence[str]) -> list[list[Entity]]:
        """The entities of each sentence, in order and apart from each other."""
        ...


def build_finder(name: FinderName, model: str | None = None) -> Finder:
    """A finder.

    Args:
        name: ``rules``: spaCy's rule engine with gazetteers; no model is needed. ``spacy``: a trained
            pipeline.
            ``gliner``: a GLiNER model.
        model: Of ``spacy`` (default ``en_core_web_sm``) or ``gliner`` (a folder or hub id).

    Raises:
        ToolwiseError: A package or the model is missing.
    """
    if name == "rules":
        from toolwise.data.minprompt.rules import RuleFinder

        return RuleFinder()
    return SpacyFinder(model or "en_core_web_sm") if name == "spacy" else GlinerFinder(model)


class SpacyFinder:
    """A trained spaCy pipeline, without what entities do not need.

    Args:
        model: Name of an installed package, or a folder.

    Raises:
        ToolwiseError: It is not installed.
    """

    def __init__(self, model: str) -> None:
        need("spacy", "minprompt")
        import spacy

        try:
            self._pipeline: Any = spacy.load(
                model, exclude=["tagger", "parser", "lemmatizer", "attribute_ruler"]
            )
        except OSError as error:
            raise ToolwiseError(
                f"the pipeline '{model}' is not installed",
                where="minprompt entities",
                mend=f"python -m spacy download {model}, or take --entities rules, which needs none",
            ) from error

    def __call__(self, sentences: Sequence[str]) -> list[list[Entity]]:
        """The entities of each sentence."""
        return [
            [Entity(span.text, span.label_, span.start_char) for span in doc.ents]
            for doc in self._pipeline.pipe(sentences)
        ]


class GlinerFinder:
    """A GLiNER model, asked for OntoNotes' labels in words.

    Args:
        model: A folder or hub id.
        threshold: Least confidence, in [0, 1].

    Raises:
        ToolwiseError: The package or the model is missing.
    """

    WORDS: ClassVar = {
        "person": "PERSON", "organization": "ORG", "country or city": "GPE", "location": "LOC",
        "date": "DATE",
        "time": "TIME", "money": "MONEY", "percentage": "PERCENT", "number": "CARDINAL",
        "quantity": "QUANTITY",
        "event": "EVENT", "facility": "FAC", "language": "LANGUAGE", "law": "LAW",
        "work of art": "WORK_OF_ART",
        "product": "PRODUCT", "nationality or religion": "NORP",
    }  # fmt: skip

    def __init__(self, model: str | None, threshold: float = 0.5) -> None:
        need("gliner", "gliner")
        if model is None:
            raise ToolwiseError(
                "no model is named", where="minprompt entities", mend="add --entity-model DIR"
            )
        from gliner import GLiNER

        try:
            self._model: Any = GLiNER.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise ToolwiseError(
                f"cannot be loaded: {error}",
                where=f"model '{model}'",
                mend="give the folder of a GLiNER model",
            ) from error
        self._threshold = threshold

    def __call__(self, sentences: Sequence[str]) -> list[list[Entity]]:
        """The entities of each sentence."""
        found: list[list[Entity]] = []
        for sentence in sentences:
            # A sentence without a word has no span, and some versions stumble over it.
            if not any(letter.isalnum() for letter in sentence):
                found.append([])
                continue
            spans = self._model.predict_entities(sentence, list(self.WORDS), threshold=self._threshold)
            made = (Entity(span["text"], self.WORDS[span["label"]], span["start"]) for span in spans)
            found.append(list(apart(made)))
        return found


def apart(entities: Iterable[Entity]) -> Iterator[Entity]:
    """In order of place, without those that overlap an earlier or longer one."""
    end = 0
    for entity in sorted(entities, key=lambda one: (one.start, -len(one.text))):
        if entity.start >= end:
            yield entity
            end = entity.end
