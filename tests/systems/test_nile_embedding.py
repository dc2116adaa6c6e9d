"""NILE's score by sentence embeddings, with a real encoder: a tiny random BERT that the test writes."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from toolwise.systems.nile import score_of
from toolwise.tools.dense_index import Encoder

pytest.importorskip("sentence_transformers", reason="the extra 'dense' is not installed")


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    names = ["[PAD]", "[UNK]", "bees", "fly", "salt", "melts", "ice"]
    backend = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(names), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return str(folder)


def test_the_score_is_the_cosine_of_the_two_embeddings(encoder_folder):
    score = score_of("embedding", None, encoder_folder)

    def of(internal, revised):
        return asyncio.run(score({"internal": internal, "revised": revised}))

    assert of("bees fly", "bees fly") == pytest.approx(1.0, abs=1e-5)
    vectors = Encoder(encoder_folder, query_prefix="", passage_prefix="").queries(
        ["bees fly", "salt melts ice"]
    )
    cosine = float(vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1]))
    assert of("bees fly", "salt melts ice") == pytest.approx(cosine, abs=1e-5)
    assert cosine < 0.999
