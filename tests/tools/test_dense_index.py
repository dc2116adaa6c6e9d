"""Dense search with a real encoder: a tiny random BERT that the test writes, through the real libraries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from toolwise.core import ToolwiseError
from toolwise.tools import DenseIndex, DenseSearchConfig, Encoder, Passage, SearchIndex

pytest.importorskip("sentence_transformers", reason="the extra 'dense' is not installed")
pytest.importorskip("faiss", reason="the extra 'dense' is not installed")

PASSAGES = [
    Passage("a", "Ada", "Ada lives in Arden."),
    Passage("b", "Arden", "The river of Arden is the Wend."),
    Passage("c", "", "Bo lives in Corvo."),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoders") / "bert"
    words = sorted({word for p in PASSAGES for word in f"{p.title} {p.text}".replace(".", " .").split()})
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, "query", "passage", ":"]
    backend = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def encoder(folder):
    return Encoder(folder, max_tokens=32)


@pytest.fixture(scope="module")
def index(encoder):
    return DenseIndex.from_passages(PASSAGES, encoder)


def test_vectors_are_the_normalised_mean_of_the_last_layer(folder, encoder):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts = ["query: Ada lives", "query: The river of Arden"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    kept = batch["attention_mask"][..., None]
    mean = ((hidden * kept).sum(1) / kept.sum(1)).numpy()
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    found = encoder.queries([text.removeprefix("query: ") for text in texts])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_order_is_that_of_the_inner_products(index, encoder):
    scores = encoder.passages(PASSAGES) @ encoder.queries(["Where lives Ada"])[0]
    ranked = index.ranked("Where lives Ada", 3)
    assert [passage for passage, _ in ranked] == [PASSAGES[place] for place in np.argsort(-scores)]
    np.testing.assert_allclose([score for _, score in ranked], sorted(scores, reverse=True), atol=1e-5)
    assert index.search("Where lives Ada", 2) == [passage for passage, _ in ranked[:2]]
    assert len(index.ranked("Ada", 50)) == 3
    assert index.ranked("Ada", 0) == []


def test_prefixes_change_the_vectors_and_long_texts_are_cut(folder, encoder):
    plain = Encoder(folder, query_prefix="", passage_prefix="", max_tokens=32)
    assert not np.allclose(plain.queries(["Ada"]), encoder.queries(["Ada"]))
    np.testing.assert_allclose(plain.queries(["Ada " * 100]), plain.queries(["Ada " * 200]), atol=1e-5)


def test_saved_indices_answer_alike(index, encoder, folder, tmp_path):
    index.save(tmp_path / "index")
    assert not list(tmp_path.rglob("*.pkl"))
    loaded = DenseIndex.load(tmp_path / "index", encoder)
    assert loaded.ranked("river", 3) == index.ranked("river", 3)
    with pytest.raises(ToolwiseError, match="the index was made with"):
        DenseIndex.load(tmp_path / "index", Encoder(folder, passage_prefix=""))
    with pytest.raises(ToolwiseError, match="holds no dense index"):
        DenseIndex.load(tmp_path, encoder)
    (tmp_path / "index" / "vectors.faiss").write_bytes(b"broken")
    with pytest.raises(ToolwiseError, match="cannot be read"):
        DenseIndex.load(tmp_path / "index", encoder)


async def test_the_tool(folder, index, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    lines = [{"id": p.id, "title": p.title, "text": p.text} for p in PASSAGES]
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tool = DenseSearchConfig(
        corpus=corpus, encoder=folder, top_k=1, layout="search_r1", max_tokens=32
    ).build()
    assert not tool.inline
    (best,) = index.search("Corvo", 1)
    result = await tool.call(None, query="Corvo")
    assert result.content == f"Doc 1(Title: {best.title}) {best.text}"


def test_what_cannot_be_used(tmp_path, encoder):
    with pytest.raises(ToolwiseError, match="the encoder cannot be loaded"):
        Encoder(str(tmp_path))
    with pytest.raises(ToolwiseError, match="the corpus has no passage"):
        DenseIndex.from_passages([], encoder)


def test_the_interface_is_that_of_the_other_index(index):
    words = SearchIndex.from_passages(PASSAGES)
    for each in (index, words):
        ((passage, score),) = each.ranked("Corvo", 1)
        assert passage in PASSAGES
        assert isinstance(score, float)
