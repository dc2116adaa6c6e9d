"""Samples from vLLM servers, and what happens when servers fail: test doubles that are real processes."""

import asyncio
import threading
import time

import pytest

from toolwise.core import ToolwiseError
from toolwise.sampling import FinishReason, SamplingParams
from toolwise.sampling.deadline import clock_stopped, rollout_deadline
from toolwise.sampling.vllm_pool import ModelFacts
from toolwise.testing.contracts import check_sampler
from vllm_doubles import FACTS, PROMPT, Weights, crowd, one, sampler_of, until_ready


def test_the_contract_of_samplers(vllm):
    check_sampler(sampler_of(vllm(), vllm()))


def test_what_is_asked_and_what_comes(vllm):
    server = vllm()
    sampler = sampler_of(server)
    sample = one(sampler, max_tokens=5, temperature=0.7, seed=2**62 + 1, stop_token_ids=(60,), stop=("zz",))
    body = server.bodies("/inference/v1/generate")[-1]
    assert body["token_ids"] == PROMPT
    assert body["model"] == "policy"
    asked = body["sampling_params"]
    expected = {"n": 1, "max_tokens": 5, "temperature": 0.7, "seed": 2**62 + 1, "logprobs": 0}
    assert expected.items() <= asked.items()
    assert asked["ignore_eos"] is True
    assert asked["stop_token_ids"] == [60]
    assert asked["stop"] == ["zz"]
    assert len(sample.token_ids) == len(sample.logprobs) == 5
    assert sample.finish_reason is FinishReason.LENGTH
    assert one(sampler, max_tokens=100).finish_reason is FinishReason.CONTEXT
    first = sample.token_ids[0]
    assert one(sampler, max_tokens=5, seed=2**62 + 1, stop_token_ids=(first,)).token_ids == (first,)
    stopped = one(sampler, max_tokens=5, seed=2**62 + 1, stop=(chr(97 + first % 26),))
    assert stopped.token_ids == (first,)
    assert stopped.finish_reason is FinishReason.STOP


def test_a_group_stays_together_and_groups_are_spread(vllm):
    first, second = vllm(pace=0.05), vllm(pace=0.05)
    sampler = sampler_of(first, second)
    prompts = [[place + 1] * 32 for place in range(4)]

    async def ask():
        await until_ready(sampler, 2)
        return await asyncio.gather(
            *(
                sampler.generate(prompt, SamplingParams(max_tokens=2, seed=n))
                for prompt in prompts
                for n in range(6)
            )
        )

    asyncio.run(ask())
    homes = [
        {body["token_ids"][0] for body in server.bodies("/inference/v1/generate")}
        for server in (first, second)
    ]
    assert homes[0] | homes[1] == {1, 2, 3, 4}
    assert not homes[0] & homes[1]
    assert len(homes[0]) == 2


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    from vllm_doubles import Running

    server = Running({}, tmp_path_factory.mktemp("double") / "script.json")
    yield crowd(sampler_of(server))
    server.stop()


def test_a_server_that_dies_amid_a_batch_costs_no_sample(vllm, undisturbed):
    dying, other = vllm(plan=[{}, {}, {"die": True}], pace=0.05), vllm(pace=0.05)
    sampler = sampler_of(dying, other)
    assert crowd(sampler, servers=2) == undisturbed
    assert dying.process.wait(10) == 9
    assert sampler.repeats > 0
    assert other.asked >= 22


def test_a_server_that_comes_back_gets_the_present_weights_first(vllm, tmp_path):
    weights = Weights(tmp_path / "weights")
    server = vllm(plan=[{}] * 5 + [{"die": True}])
    sampler = sampler_of(server, delivery=weights.delivery)
    weights.word = "second"
    sampler.update_weights()
    expected = crowd(sampler_of(vllm(), delivery=weights.delivery))
    back = []

    def restart():
        server.process.wait(30)
        time.sleep(0.3)
        back.append(vllm(port=server.port))

    waiter = threading.Thread(target=restart)
    waiter.start()
    samples = crowd(sampler)
    waiter.join()
    assert samples == expected
    assert back[0].state()["weights"] == "second"
    assert back[0].state()["version"] == weights.delivery.version
    paths = [each["path"].split("?")[0] for each in back[0].state()["log"]]
    assert paths.index("/collective_rpc") < paths.index("/inference/v1/generate")


def test_new_weights_reach_every_server_and_the_old_folder_goes(vllm, tmp_path):
    weights = Weights(tmp_path / "weights")
    servers = [vllm(), vllm()]
    sampler = sampler_of(*servers, delivery=weights.delivery)
    found = []
    for word in ("one", "two"):
        weights.word = word
        sampler.update_weights()
        found.append(crowd(sampler, servers=2))
        assert [folder.name for folder in (tmp_path / "weights").iterdir()] == [weights.delivery.version]
        for server in servers:
            assert server.state()["weights"] == word
            paths = [each["path"].split("?")[0] for each in server.state()["log"]]
            assert "/reset_prefix_cache" in paths[paths.index("/collective_rpc") :]
    assert found[0] != found[1]
    assert not any(server.state()["paused"] for server in servers)
    sampler.close()
    assert not list((tmp_path / "weights").iterdir())


def test_a_sample_of_other_weights_is_not_taken(vllm, tmp_path):
    weights = Weights(tmp_path / "weights")
    server = vllm(plan=[{"set": {"choices.0.weight_versions": [{"version": "other"}]}}])
    sampler = sampler_of(server, delivery=weights.delivery)
    sampler.update_weights()
    one(sampler)
    assert server.asked == 2


def test_a_slow_answer_is_asked_for_elsewhere(vllm, undisturbed):
    slow = vllm(plan=[{"slow": 60}] * 100)
    sampler = sampler_of(slow, vllm(), timeout=2)
    assert crowd(sampler, servers=2) == undisturbed
    assert sampler.repeats > 0


def test_the_only_server_is_too_slow(vllm):
    server = vllm(plan=[{"slow": 60}] * 100)
    with pytest.raises(ToolwiseError, match=r"no answer to /inference/v1/generate within 0.2 s") as found:
        one(sampler_of(server, timeout=0.2, retries=1))
    assert server.url in str(found.value)
    assert "sampler.timeout" in found.value.mend


WRONG = {
    "no JSON": ({"raw": "nonsense"}, "Invalid JSON"),
    "no samples": ({"set": {"choices": []}}, "1 sample was asked for and 0 came"),
    "two samples": ({"set": {"choices.0": None}}, "choices.0"),
    "too few log-probabilities": ({"set": {"choices.0.logprobs.content": []}}, "came with 0 log-prob"),
    "none": ({"set": {"choices.0.logprobs": None}}, "choices.0.logprobs"),
    "of other tokens": ({"set": {"choices.0.logprobs.content.0.token_id": 61}}, "belong to other tokens"),
    "above 0": ({"set": {"choices.0.logprobs.content.1.logprob": 0.5}}, "above 0"),
    "infinite": ({"set": {"choices.0.logprobs.content.1.logprob": -9999.0}}, "not finite"),
    "unknown end": ({"set": {"choices.0.finish_reason": "abort"}}, "ended with 'abort'"),
    "unasked stop": ({"set": {"choices.0.finish_reason": "stop"}}, "which nobody asked for"),
    "too short": ({"set": {"choices.0.token_ids": [1], "choices.0.logprobs.content": [
        {"token_id": 1, "logprob": -1}]}}, "after 1 of 6"),
    "server error": ({"status": 500}, "status 500: planned"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_asked_for_again_and_named_in_the_end(vllm, name):
    step, said = WRONG[name]
    mended = vllm(plan=[step])
    assert one(sampler_of(mended)) == one(sampler_of(mended))
    with pytest.raises(ToolwiseError) as found:
        one(sampler_of(vllm(plan=[step] * 9), retries=1))
    assert said in str(found.value)
    assert "in 2 tries" in str(found.value)


REFUSED = {
    "another tokenizer": ({"shift": 1}, "another tokenizer"),
    "another name": ({"model": "other"}, "serves no model 'policy', but ['other']"),
    "too short": ({"length": 32}, "sees 32 tokens at once, and rollouts may have 64"),
    "no token endpoint": ({"scale_out": False}, "--enable-scale-out"),
    "other tokens of the prompt": (
        {"plan": [{"set": {"usage.prompt_tokens": 4}}]},
        "read 4 prompt tokens where 3",
    ),
    "a token beyond the vocabulary": (
        {"plan": [{"set": {"choices.0.token_ids": [61]}}]},
        "the vocabulary ends at 60",
    ),
    "another model's answer": ({"plan": [{"set": {"model": "other"}}]}, "answers for the model 'other'"),
    "a refusal": ({"plan": [{"status": 400}]}, "status 400: planned"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_further_try_would_mend_is_said_at_once(vllm, name):
    script, said = REFUSED[name]
    server = vllm(**script)
    with pytest.raises(ToolwiseError) as found:
        one(sampler_of(server))
    assert said in str(found.value)
    assert server.url in found.value.where
    assert server.asked <= 1


def test_a_server_that_takes_no_weights(vllm, tmp_path):
    weights = Weights(tmp_path / "weights")
    sampler = sampler_of(vllm(closed=["/weight_info"]), delivery=weights.delivery)
    sampler.update_weights()
    with pytest.raises(ToolwiseError, match="VLLM_SERVER_DEV_MODE=1"):
        one(sampler)


def test_nobody_comes_back(vllm):
    server = vllm(plan=[{}, {"die": True}])
    sampler = sampler_of(server, patience=0.6)
    one(sampler)
    with pytest.raises(ToolwiseError, match=r"no vLLM server could be used for 0.6 s") as found:
        one(sampler)
    assert server.url in found.value.problem
    assert "run the same command" in found.value.mend


def test_log_probabilities_must_be_those_before_the_cut(vllm):
    processed, raw = sampler_of(vllm()), sampler_of(vllm(processed=False))
    with pytest.raises(ToolwiseError, match="raw_logprobs"):
        one(processed, top_k=2)
    with pytest.raises(ToolwiseError, match="raw_logprobs"):
        one(processed, top_p=0.9)
    with pytest.raises(ToolwiseError, match="processed_logprobs"):
        one(raw, temperature=0.7)
    one(raw, top_k=2)
    one(processed, temperature=0.7)
    one(raw, temperature=0.0, top_k=2)


def test_the_key_is_sent_and_not_shown(vllm, monkeypatch):
    monkeypatch.setenv("VLLM_TEST_KEY", "a-secret-key")
    server = vllm(plan=[{"status": 401}])
    with pytest.raises(ToolwiseError) as found:
        one(sampler_of(server, api_key_env="VLLM_TEST_KEY"))
    assert "api_key_env" in found.value.mend
    assert "a-secret-key" not in str(found.value)
    assert {each["key"] for each in server.state()["log"]} == {"Bearer a-secret-key"}


def test_a_prompt_without_room(vllm):
    sampler = sampler_of(vllm(length=100), facts=ModelFacts(8, FACTS.vocabulary))
    with pytest.raises(ToolwiseError, match="the prompt has 8 tokens and the context of the model 8"):
        one(sampler, prompt=[1] * 8)


async def test_the_clock_of_a_rollout_stands_still_in_an_outage():
    async with asyncio.timeout(0.2) as deadline:
        rollout_deadline.set(deadline)
        with clock_stopped():
            await asyncio.sleep(0.5)
        assert deadline.when() > asyncio.get_running_loop().time()

    async def goes_on_too_long():
        async with asyncio.timeout(0.05) as deadline:
            rollout_deadline.set(deadline)
            with clock_stopped():
                await asyncio.sleep(0.1)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await goes_on_too_long()


def test_the_double_answers_by_the_protocol(vllm):
    # What the tests above rest on: equal requests, equal answers; other weights, others.
    server = vllm()
    assert crowd(sampler_of(server), 3) == crowd(sampler_of(vllm()), 3)
    assert server.bodies("/tokenize")[0]["prompt"] == "abc"
