"""DenseIndex: nearest passages by the inner product of their embeddings, in a flat index.

Needs the extra ``toolwise[dense]``: sentence-transformers for the encoder, faiss for the index.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.tools.passages import PASSAGES, Passage, read_passages, write_passages

_VECTORS, _SETTINGS = "vectors.faiss", "dense.json"
_BATCH = 64


class Encoder:
    """Texts to unit vectors: a transformers model, mean pooling, normalised; Search-R1 uses E5-base-v2 so.

    Args:
        source: Folder or hub id of an encoder such as E5. Code that comes with a model is never run.
        query_prefix: Stands before every query; E5 wants ``query: ``.
        passage_prefix: Stands before every passage; E5 wants ``passage: ``.
        max_tokens: Longer texts are cut.

    Raises:
        ToolwiseError: The extra is not installed, or the model cannot be loaded.
    """

    def __init__(
        self,
        source: str,
        *,
        query_prefix: str = "query: ",
        passage_prefix: str = "passage: ",
        max_tokens: int = 256,
    ) -> None:
        self.source = source
        self.query_prefix, self.passage_prefix, self.max_tokens = query_prefix, passage_prefix, max_tokens
        self._model = _load_encoder(source, max_tokens)
        self._lock = threading.Lock()  # Fast tokenizers must not be used by two threads at once.

    def queries(self, texts: Sequence[str]) -> Any:
        """Vectors of queries, shape (n, d), float32, unit length."""
        return self._encode([self.query_prefix + text for text in texts])

    def passages(self, passages: Sequence[Passage]) -> Any:
        """Vectors of passages, title and text together, shape (n, d), float32, unit length."""
        texts = [
            f"{passage.title}\n{passage.text}" if passage.title else passage.text for passage in passages
        ]
        return self._encode([self.passage_prefix + text for text in texts])

    def _encode(self, texts: list[str]) -> Any:
        with self._lock:
            return self._model.encode(
                texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            ).astype("float32")


class DenseIndex:
    """A flat index of embeddings. Make one with `from_passages`, `from_file` or `load`.

    Attributes:
        passages: The corpus, in the order given.
        encoder: What makes vectors.
    """

    def __init__(self, passages: Sequence[Passage], vectors: Any, encoder: Encoder) -> None:
        self.passages, self.encoder = tuple(passages), encoder
        self._vectors = vectors

    @classmethod
    def from_passages(cls, passages: Sequence[Passage], encoder: Encoder) -> DenseIndex:
        """Embed and index passages.

        Raises:
            ToolwiseError: There is no passage.
        """
        if not passages:
            raise ToolwiseError("the corpus has no passage", mend="give at least one")
        embedded = encoder.passages(passages)
        vectors = _faiss().IndexFlatIP(embedded.shape[1])
        vectors.add(embedded)
        return cls(passages, vectors, encoder)

    @classmethod
    def from_file(cls, path: str | Path, encoder: Encoder) -> DenseIndex:
        """Index a JSONL or Parquet file; fields and errors are those of `read_passages`."""
        return cls.from_passages(read_passages(path), encoder)

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The passages of `ranked`."""
        return [passage for passage, _ in self.ranked(query, top_k)]

    def ranked(self, query: str, top_k: int) -> list[tuple[Passage, float]]:
        """The `top_k` passages of the largest inner product (cosine), in [−1, 1], with it."""
        count = min(top_k, len(self.passages))
        if count < 1:
            return []
        scores, places = self._vectors.search(self.encoder.queries([query]), count)
        return [
            (self.passages[place], float(score)) for place, score in zip(places[0], scores[0], strict=True)
        ]

    def save(self, folder: str | Path) -> None:
        """Write the vectors, the corpus and the encoder's name into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _faiss().write_index(self._vectors, str(folder / _VECTORS))
        write_passages(folder / PASSAGES, self.passages)
        settings = {"encoder": self.encoder.source, "passage_prefix": self.encoder.passage_prefix}
        (folder / _SETTINGS).write_text(json.dumps(settings), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder) -> DenseIndex:
        """Read what `save` wrote.

        Raises:
            ToolwiseError: The folder holds no dense index, or one of another encoder.
        """
        folder = Path(folder)
        if not all((folder / name).is_file() for name in (PASSAGES, _VECTORS, _SETTINGS)):
            raise ToolwiseError(
                "holds no dense index", where=str(folder), mend="give a folder that DenseIndex.save wrote"
            )
        try:
            settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            vectors = _faiss().read_index(str(folder / _VECTORS))
        except (OSError, ValueError, RuntimeError) as error:
            raise ToolwiseError(
                f"the dense index cannot be read: {error}", where=str(folder), mend="make it again"
            ) from error
        ours = {"encoder": encoder.source, "passage_prefix": encoder.passage_prefix}
        if settings != ours:
            raise ToolwiseError(
                f"the index was made with {settings}, and the encoder is {ours}",
                where=str(folder),
                mend="name the same encoder and prefix, or make the index again",
            )
        passages = read_passages(folder / PASSAGES)
        if vectors.ntotal != len(passages):
            raise ToolwiseError(
                f"there are {vectors.ntotal} vectors for {len(passages)} passages",
                where=str(folder),
                mend="make the index again",
            )
        return cls(passages, vectors, encoder)


def _load_encoder(source: str, max_tokens: int) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError as error:
        raise _missing(error) from error
    try:
        # Weights in safetensors only: nothing that comes with a model is unpickled.
        body = Transformer(source, max_seq_length=max_tokens, model_kwargs={"use_safetensors": True})
        pooling = Pooling(body.get_embedding_dimension(), pooling_mode="mean")
        return SentenceTransformer(modules=[body, pooling])
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ToolwiseError(
            f"the encoder cannot be loaded: {reason}",
            where=f"encoder '{source}'",
            mend="give the folder or the hub id of an encoder that transformers knows, such as an E5 model",
        ) from error


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise _missing(error) from error
    return faiss


def _missing(error: ImportError) -> ToolwiseError:
    return ToolwiseError(
        f"dense search needs a package that is not installed: {error.name}",
        mend="pip install 'toolwise[dense]'",
    )
