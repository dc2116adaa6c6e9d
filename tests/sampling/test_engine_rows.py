"""Rows of the engine: shared, full, compacted, freed, and parked within bounds."""

import asyncio
import random

import pytest
import torch

from toolwise.core import ToolwiseError
from toolwise.sampling import EmbeddedSampler, FinishReason, SamplingParams
from toolwise.sampling.cache import PrefixStore


def together(sampler, requests):
    async def ask():
        return await asyncio.gather(*(sampler.generate(prompt, params) for prompt, params in requests))

    return asyncio.run(ask())


def recomputed(model, prompt, sample):
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *sample.token_ids]])).logits[0].float()
    logprobs = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
    return [logprobs[i, token].item() for i, token in enumerate(sample.token_ids)]


def test_rows_of_many_lengths_join_and_leave(qwen):
    """Forty requests through three rows: every row is freed, moved and filled again many times."""
    rng = random.Random(0)
    requests = [
        (
            [rng.randrange(61) for _ in range(rng.randint(1, 40))],
            SamplingParams(max_tokens=rng.randint(1, 25), seed=seed, stop_token_ids=(3,)),
        )
        for seed in range(40)
    ]
    samples = together(EmbeddedSampler(qwen, max_rows=3), requests)
    for (prompt, params), sample in zip(requests, samples, strict=True):
        assert sample.logprobs == pytest.approx(recomputed(qwen, prompt, sample), abs=1e-4)
        assert 3 not in sample.token_ids[:-1]
        assert (sample.token_ids[-1] == 3) == (sample.finish_reason is FinishReason.STOP)
        assert len(sample.token_ids) == params.max_tokens or sample.finish_reason is FinishReason.STOP
    assert {sample.finish_reason for sample in samples} == {FinishReason.STOP, FinishReason.LENGTH}
    # The same requests through other numbers of rows give the same tokens.
    for rows in (1, 40):
        other = together(EmbeddedSampler(qwen, max_rows=rows), requests)
        assert [sample.token_ids for sample in other] == [sample.token_ids for sample in samples]


def test_a_group_larger_than_the_batch_reads_its_prompt_once(qwen):
    sampler = EmbeddedSampler(qwen, max_rows=3)
    prompt = list(range(50))
    samples = together(sampler, [(prompt, SamplingParams(max_tokens=4, seed=seed)) for seed in range(10)])
    # Each later batch reads the last token again, for its logits.
    batches = sampler.read_tokens - len(prompt) + 1
    assert 4 <= batches <= 8
    for sample in samples:
        assert sample.logprobs == pytest.approx(recomputed(qwen, prompt, sample), abs=1e-4)


def test_groups_with_interleaved_prompts_each_get_their_own(qwen):
    """Equal prompts are read once wherever they stand among others."""
    sampler = EmbeddedSampler(qwen, max_rows=16)
    prompts = [[7, 1, 2], [9] * 11, [4]]
    order = [0, 1, 0, 2, 2, 1, 0, 1, 2, 0]
    requests = [(prompts[i], SamplingParams(max_tokens=6, seed=place)) for place, i in enumerate(order)]
    samples = together(sampler, requests)
    assert sampler.read_tokens == 3 + 11 + 1
    for (prompt, params), sample in zip(requests, samples, strict=True):
        (alone,) = together(EmbeddedSampler(qwen), [(prompt, params)])
        assert alone.token_ids == sample.token_ids


def test_a_conversation_reads_every_token_once(qwen):
    sampler = EmbeddedSampler(qwen)

    async def talk():
        context = list(range(12))
        for turn in range(5):
            sample = await sampler.generate(context, SamplingParams(max_tokens=7, seed=turn))
            context += [*sample.token_ids, *range(20, 20 + turn)]
        return context

    context = asyncio.run(talk())
    assert len(context) == 12 + 5 * 7 + sum(range(5))
    # The prompt, then at each later turn the newest sampled token and what was appended to it.
    assert sampler.read_tokens == 12 + 4 + sum(range(4))
    assert sampler.sampled_tokens == 5 * 7


def test_many_cancelled_requests_leave_the_others_as_they_would_be_alone(qwen):
    sampler = EmbeddedSampler(qwen, max_rows=4)
    keep = [([place, 5, 6], SamplingParams(max_tokens=30, seed=place)) for place in range(4)]

    async def race():
        doomed = [
            asyncio.create_task(sampler.generate([9, place], SamplingParams(max_tokens=200, seed=place)))
            for place in range(6)
        ]
        kept = [asyncio.create_task(sampler.generate(prompt, params)) for prompt, params in keep]
        for task in doomed:
            for _ in range(4):
                await asyncio.sleep(0)
            task.cancel()
        samples = await asyncio.gather(*kept)
        assert all(task.cancelled() for task in doomed)
        return samples

    samples = asyncio.run(race())
    assert [s.token_ids for s in samples] == [s.token_ids for s in together(EmbeddedSampler(qwen), keep)]


def test_an_interrupted_run_leaves_nothing_to_the_next_one(qwen):
    """The engine outlives an event loop that ended with requests under way."""
    sampler = EmbeddedSampler(qwen)

    async def interrupted():
        asyncio.get_running_loop().create_task(sampler.generate([1, 2], SamplingParams(max_tokens=200)))
        for _ in range(5):
            await asyncio.sleep(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    params = SamplingParams(max_tokens=9, seed=1)
    (again,) = together(sampler, [([4, 5], params)])
    (fresh,) = together(EmbeddedSampler(qwen), [([4, 5], params)])
    assert again == fresh


def test_new_weights_are_used_and_old_keys_and_values_are_not(qwen):
    from copy import deepcopy

    other = deepcopy(qwen)
    with torch.no_grad():
        other.get_input_embeddings().weight.mul_(0.5)
    sampler = EmbeddedSampler(qwen)
    prompt = list(range(30))
    params = SamplingParams(max_tokens=8, temperature=0.0)
    (before,) = together(sampler, [(prompt, params)])
    follow_up = [*prompt, *before.token_ids]
    sampler.update_weights(other)
    (after,) = together(sampler, [(follow_up, params)])
    assert after.logprobs == pytest.approx(recomputed(other, follow_up, after), abs=1e-4)


@pytest.mark.parametrize("stop", ["日本", "né", "</s>"])
def test_stop_strings_of_many_bytes_a_letter(qwen, stop):
    """With byte-level tokens a letter takes several tokens; the stop string is found all the same."""
    said = f"ab{stop}cd".encode()
    seen = []

    def decode(token_ids):
        # The model's tokens stand for the bytes of a script: the newest one is the last that was sampled.
        end = len(seen)
        return said[end - len(token_ids) : end].decode("utf-8", "replace")

    sampler = EmbeddedSampler(qwen, decode=decode)
    finish = sampler._finish_reason

    def count(request, token):
        seen.append(token)
        return finish(request, token)

    sampler._finish_reason = count
    (sample,) = together(sampler, [([1], SamplingParams(max_tokens=len(said), stop=(stop,)))])
    assert sample.finish_reason is FinishReason.STOP
    assert len(sample.token_ids) == len(f"ab{stop}".encode())


def test_parked_rows_are_bounded_and_the_least_recently_used_goes_first():
    store = PrefixStore(10)
    rows = {name: torch.full((1,), float(name)) for name in range(4)}
    store.park((1, 2, 3), rows[0])
    store.park((4, 5, 6), rows[1])
    assert store.longest_prefix((1, 2, 3, 9)) == (3, rows[0])  # used, so (4, 5, 6) is older now
    store.park((7, 8, 9, 10, 11), rows[2])
    assert store.longest_prefix((4, 5, 6, 9))[0] == 0
    assert store.longest_prefix((1, 2, 3, 9))[0] == 3
    assert store.longest_prefix((7, 8, 9, 10, 11, 12))[0] == 5
    # A row is no prefix of itself: one token must be read to get logits.
    assert store.longest_prefix((1, 2, 3))[0] == 0
    store.park((1, 2, 3), rows[3])
    assert store.longest_prefix((1, 2, 3, 4)) == (3, rows[3])
    store.park(tuple(range(11)), rows[0])
    assert store.longest_prefix(tuple(range(12)))[0] == 0
    store.park((1,), rows[0])
    store.clear()
    assert store.longest_prefix((1, 2)) == (0, None)


def test_the_longest_of_several_prefixes_is_taken():
    store = PrefixStore(100)
    for length in (2, 5, 4):
        store.park(tuple(range(length)), torch.zeros(length))
    length, parked = store.longest_prefix([*range(5), 77])
    assert (length, len(parked)) == (5, 5)
    assert store.longest_prefix([0, 1, 2, 3, 99])[0] == 4
    assert store.longest_prefix([1, 2])[0] == 0


def test_an_engine_without_room_to_park_still_answers_rightly(qwen):
    sampler = EmbeddedSampler(qwen, parked_tokens=0)
    prompt = [1, 2, 3]
    for turn in range(3):
        (sample,) = together(sampler, [(prompt, SamplingParams(max_tokens=5, seed=turn))])
        assert sample.logprobs == pytest.approx(recomputed(qwen, prompt, sample), abs=1e-4)
        prompt = [*prompt, *sample.token_ids, 8]
    assert sampler.read_tokens == 3 + 9 + 15


def test_a_model_whose_weights_have_diverged_is_refused(qwen):
    from copy import deepcopy

    broken = deepcopy(qwen)
    with torch.no_grad():
        broken.get_output_embeddings().weight[7] = float("nan")
    for temperature in (0.0, 1.0):
        with pytest.raises(ToolwiseError, match="no finite probabilities"):
            together(EmbeddedSampler(broken), [([1], SamplingParams(temperature=temperature))])
