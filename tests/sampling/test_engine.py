"""The embedded engine: exact log-probabilities, independence of neighbours, nothing read twice."""

import asyncio

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from toolwise.core import ToolwiseError
from toolwise.sampling import EmbeddedSampler, FinishReason, SamplingParams
from toolwise.sampling.engine import context_length

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
}
FAMILIES = [(Qwen3Config, Qwen3ForCausalLM), (Qwen2Config, Qwen2ForCausalLM), (LlamaConfig, LlamaForCausalLM)]


def tiny(family=0, **settings):
    config, model = FAMILIES[family]
    torch.manual_seed(family)
    made = model(config(**{**SHAPE, **settings})).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)  # sharper than at initialisation, so that a wrong cache shows
    return made


async def converse(sampler, prompt, seed, turns=3, temperature=1.0):
    """A rollout: sampled turns, and observations of six tokens between them."""
    context, samples = list(prompt), []
    for turn in range(turns):
        params = SamplingParams(max_tokens=5 + seed % 4, temperature=temperature, seed=100 * seed + turn)
        sample = await sampler.generate(context, params)
        samples.append((len(context), sample))
        context += [*sample.token_ids, 1, 2, 3, 4, 5, 6]
    return context, samples


def crowd(sampler, temperature=1.0):
    """Four groups of five rollouts; prompts of different lengths."""

    async def all_of_them():
        prompts = [[(7 * group + place) % 61 for place in range(4 + 3 * group)] for group in range(4)]
        return await asyncio.gather(
            *(
                converse(sampler, prompt, seed, temperature=temperature)
                for prompt in prompts
                for seed in range(5)
            )
        )

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("family", range(3))
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_log_probabilities_equal_recomputed_ones(family, temperature):
    model = tiny(family)
    for context, samples in crowd(EmbeddedSampler(model, max_rows=6), temperature):
        with torch.no_grad():
            logits = model(torch.tensor([context])).logits[0].float() / temperature
        logprobs = torch.log_softmax(logits, -1)
        for start, sample in samples:
            wanted = [logprobs[start + i - 1, token].item() for i, token in enumerate(sample.token_ids)]
            assert sample.logprobs == pytest.approx(wanted, abs=1e-4)


def test_a_result_does_not_depend_on_its_neighbours():
    model = tiny()
    together = crowd(EmbeddedSampler(model, max_rows=16))
    context, samples = asyncio.run(
        converse(EmbeddedSampler(model), [(7 + place) % 61 for place in range(7)], 2)
    )
    assert together[5 + 2][0] == context
    assert [s.token_ids for _, s in together[7][1]] == [s.token_ids for _, s in samples]


def test_two_runs_are_equal_bit_for_bit():
    model = tiny()
    assert crowd(EmbeddedSampler(model, max_rows=7)) == crowd(EmbeddedSampler(model, max_rows=7))


def test_a_shared_prompt_is_read_once_and_turns_read_only_what_is_new():
    sampler = EmbeddedSampler(tiny())
    prompt = list(range(20))

    async def group():
        params = [SamplingParams(max_tokens=4, seed=seed) for seed in range(8)]
        return await asyncio.gather(*(sampler.generate(prompt, each) for each in params))

    first, *_ = asyncio.run(group())
    assert sampler.read_tokens == 20
    follow_up = [*prompt, *first.token_ids, 7, 8, 9]
    asyncio.run(sampler.generate(follow_up, SamplingParams(max_tokens=2)))
    # The newest sampled token had not been read yet, then three new ones.
    assert sampler.read_tokens == 20 + 1 + 3
    sampler.update_weights()
    asyncio.run(sampler.generate(follow_up, SamplingParams(max_tokens=2)))
    assert sampler.read_tokens == 20 + 4 + len(follow_up)


@pytest.mark.parametrize("cells", [1, 100, 400])
def test_prompts_read_in_pieces_give_the_same(monkeypatch, cells):
    whole = crowd(EmbeddedSampler(tiny(), max_rows=9))
    widths = []
    monkeypatch.setattr("toolwise.sampling.engine.MASK_CELLS", cells)
    sampler = EmbeddedSampler(tiny(), max_rows=9)
    hidden = sampler._hidden

    def watched(first, tokens, starts):
        widths.append(tokens.numel())
        return hidden(first, tokens, starts)

    monkeypatch.setattr(sampler, "_hidden", watched)
    for (context, samples), (same, others) in zip(whole, crowd(sampler), strict=True):
        assert context == same
        for (_, sample), (_, other) in zip(samples, others, strict=True):
            assert sample.logprobs == pytest.approx(other.logprobs, abs=1e-5)
    if cells == 1:
        # One token of each row a pass, and rows that have nothing more to read take no part: no padding.
        decoded = sampler.sampled_tokens - sum(len(samples) for _, samples in whole)
        assert sum(widths) == sampler.read_tokens + decoded


def test_greedy_equals_transformers():
    model = tiny()
    prompt = [5, 9, 2, 44]
    wanted = model.generate(
        torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0
    )[0, 4:].tolist()
    params = SamplingParams(max_tokens=12, temperature=0.0)
    found = asyncio.run(EmbeddedSampler(model).generate(prompt, params))
    assert list(found.token_ids) == wanted
    assert found.finish_reason is FinishReason.LENGTH


def test_reasons_to_finish():
    model = tiny()
    sampler = EmbeddedSampler(model, decode=lambda ids: "".join(chr(97 + token % 26) for token in ids))
    free = asyncio.run(sampler.generate([1, 2], SamplingParams(max_tokens=10, temperature=0.0)))
    third = free.token_ids[2]
    stopped = asyncio.run(
        sampler.generate([1, 2], SamplingParams(max_tokens=10, temperature=0.0, stop_token_ids=(third,)))
    )
    assert stopped.finish_reason is FinishReason.STOP
    assert stopped.token_ids == free.token_ids[: free.token_ids.index(third) + 1]
    text = "".join(chr(97 + token % 26) for token in free.token_ids[:4])
    said = asyncio.run(
        sampler.generate([1, 2], SamplingParams(max_tokens=10, temperature=0.0, stop=(text[2:],)))
    )
    assert said.finish_reason is FinishReason.STOP
    assert len(said.token_ids) <= 4
    full = asyncio.run(sampler.generate(list(range(60)) + [1] * 30, SamplingParams(max_tokens=50)))
    assert (full.finish_reason, len(full.token_ids)) == (FinishReason.CONTEXT, 6)


def test_a_cancelled_request_frees_its_row_and_the_others_go_on():
    sampler = EmbeddedSampler(tiny(), max_rows=4)

    async def race():
        slow = asyncio.create_task(sampler.generate([1, 2, 3], SamplingParams(max_tokens=80)))
        await asyncio.sleep(0.01)
        slow.cancel()
        return await sampler.generate([4, 5], SamplingParams(max_tokens=5, seed=3))

    alone = asyncio.run(EmbeddedSampler(tiny()).generate([4, 5], SamplingParams(max_tokens=5, seed=3)))
    assert asyncio.run(race()).token_ids == alone.token_ids
    assert sampler._active == []


def test_an_error_of_the_model_reaches_everybody_who_waits():
    model = tiny()
    sampler = EmbeddedSampler(model)

    def broken(*_, **__):
        raise RuntimeError("no memory")

    model.model.forward = broken

    async def both():
        params = SamplingParams(max_tokens=3)
        return await asyncio.gather(
            sampler.generate([1], params), sampler.generate([2], params), return_exceptions=True
        )

    assert [str(error) for error in asyncio.run(both())] == ["no memory", "no memory"]


def test_too_little_memory_says_what_to_set(monkeypatch):
    sampler = EmbeddedSampler(tiny(), max_rows=5)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sampler, "_hidden", full)
    with pytest.raises(ToolwiseError, match=r"hold 1 sequences[\s\S]*sampler.rows, now 5"):
        asyncio.run(sampler.generate([1, 2], SamplingParams()))


def test_prompts_that_cannot_be_sampled_from():
    sampler = EmbeddedSampler(tiny())
    with pytest.raises(ToolwiseError, match="empty prompt"):
        asyncio.run(sampler.generate([], SamplingParams()))
    with pytest.raises(ToolwiseError, match="96 tokens and the context of the model 96"):
        asyncio.run(sampler.generate([1] * 96, SamplingParams()))
    with pytest.raises(ToolwiseError, match="stop strings need a tokenizer"):
        asyncio.run(sampler.generate([1], SamplingParams(stop=("x",))))


def test_a_sliding_window_bounds_the_context():
    model = tiny(1, use_sliding_window=True, sliding_window=40, max_window_layers=0)
    assert context_length(model.config) == 40
    assert context_length(tiny(1).config) == 96


@pytest.mark.parametrize(
    "wrong", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}]
)
def test_parameters_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)
