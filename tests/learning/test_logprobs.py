from __future__ import annotations

import pytest
import torch
from learning_helpers import VOCABULARY, tiny_model
from torch import nn

from toolwise.core import RolloutTree, Task, ToolwiseError, Turn
from toolwise.learning import Learner, LearnerConfig, TokenTree, logprobs, pack, token_logprobs


def batch_of(*rows):
    task = Task("t", ({"role": "user", "content": "?"},))
    trees = [TokenTree.supervised(RolloutTree.demonstration(task, [Turn("assistant", row)])) for row in rows]
    return pack(trees, 64, dtype=torch.float64)[0]


@pytest.mark.parametrize("chunk", [1, 70, 10**6])
@pytest.mark.parametrize("settings", [(1.0, None, 1.0), (0.3, 2.0, 0.6), (2.0, None, 1.7)])
def test_the_chunked_function_has_exact_gradients(monkeypatch, chunk, settings):
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", chunk)
    torch.manual_seed(1)
    hidden = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(7, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 6, 3, 3, 1])

    def both(hidden, weight, bias):
        return logprobs._ChunkedLogProbs.apply(hidden, weight, bias, targets, *settings, True)

    scale, cap, temperature = settings
    logits = nn.functional.linear(hidden, weight, bias) * scale
    logits = (logits if cap is None else cap * torch.tanh(logits / cap)) / temperature
    table = logits.log_softmax(-1)
    found, entropy = both(hidden, weight, bias)
    assert torch.allclose(found, table.gather(-1, targets[:, None])[:, 0], rtol=0, atol=1e-13)
    assert torch.allclose(entropy, -(table.exp() * table).sum(-1), rtol=0, atol=1e-13)
    assert torch.autograd.gradcheck(both, (hidden, weight, bias))


def test_logits_are_never_larger_than_a_chunk(monkeypatch):
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 4 * VOCABULARY)
    sizes = []
    plain = logprobs._ChunkedLogProbs._logits

    def watched(*arguments):
        found = plain(*arguments)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(logprobs._ChunkedLogProbs, "_logits", staticmethod(watched))
    found, _ = token_logprobs(tiny_model(), batch_of((1, 2, 3, 4, 5, 6, 7), (8, 9, 10, 11)))
    found.sum().backward()
    assert max(sizes) == 4
    assert sum(sizes) == 2 * len(found) == 2 * 9


def test_models_with_their_own_logit_scale_are_respected():
    from transformers import CohereConfig, CohereForCausalLM, GraniteConfig, GraniteForCausalLM

    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    ids = torch.tensor([[1, 5, 9, 2]])
    for model in (
        GraniteForCausalLM(GraniteConfig(**common, logits_scaling=0.1)),
        CohereForCausalLM(CohereConfig(**common, logit_scale=8.0)),
    ):
        wanted = model(ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
        found, _ = token_logprobs(model, batch_of(tuple(ids[0].tolist())))
        assert torch.allclose(found, wanted, atol=1e-5)
        assert float(wanted.detach().std()) > 1e-2


def test_attention_that_takes_no_tree_mask_is_refused():
    model = tiny_model()
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ToolwiseError, match="sdpa"):
        Learner(model, LearnerConfig())


def test_layers_that_cannot_follow_a_tree_are_refused():
    model = tiny_model()
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ToolwiseError, match="linear_attention"):
        token_logprobs(model, batch_of((1, 2, 3)))
