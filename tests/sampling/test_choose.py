"""Choosing tokens: the right distribution, and its cut tails."""

import torch
from scipy.stats import chisquare

from toolwise.sampling.choose import choose_tokens

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -2.0])


def draw(count, temperature=1.0, top_p=1.0, top_k=0):
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return choose_tokens(
        LOGITS.expand(count, -1),
        torch.full((count,), temperature),
        torch.full((count,), top_p),
        torch.full((count,), top_k),
        uniform,
    )


def test_draws_follow_the_distribution():
    tokens, logprobs = draw(20_000, temperature=0.8)
    wanted = torch.softmax(LOGITS / 0.8, -1)
    counts = torch.bincount(tokens, minlength=5).double()
    assert chisquare(counts.numpy(), (wanted.double() / wanted.double().sum() * 20_000).numpy()).pvalue > 1e-3
    torch.testing.assert_close(logprobs, torch.log_softmax(LOGITS / 0.8, -1)[tokens])


def test_cut_tails_keep_proportions_and_the_uncut_log_probability():
    tokens, logprobs = draw(20_000, top_k=2)
    assert set(tokens.tolist()) == {0, 1}
    ratio = (tokens == 0).sum() / (tokens == 1).sum()
    assert abs(float(ratio) - 2.718) < 0.15
    torch.testing.assert_close(logprobs, torch.log_softmax(LOGITS, -1)[tokens])
    # 0.636 + 0.234 = 0.87: the third token is needed to reach 0.9, the fourth is not.
    assert set(draw(20_000, top_p=0.9)[0].tolist()) == {0, 1, 2}
    assert set(draw(100, top_p=1e-6)[0].tolist()) == {0}


def test_temperature_zero_is_greedy():
    tokens, logprobs = draw(10, temperature=0.0)
    assert tokens.tolist() == [0] * 10
    torch.testing.assert_close(logprobs, torch.log_softmax(LOGITS, -1)[tokens])
