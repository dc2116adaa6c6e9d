"""A tiny world's tokenizer in its dialect, and a tiny random model over its vocabulary."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from toolwise.dialects import HermesDialect
from toolwise.worlds.almanac import WorldSize, build_world
from toolwise.worlds.almanac.base import train_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(build_world(0, WorldSize(known_people=4, unknown_people=4, towns=10)), 600)


@pytest.fixture(scope="session")
def hermes(tokenizer):
    return HermesDialect(tokenizer)


@pytest.fixture(scope="session")
def model(tokenizer):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
    )
    return Qwen3ForCausalLM(config).eval()
