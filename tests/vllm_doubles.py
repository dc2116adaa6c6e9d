"""Starting test doubles of vLLM servers, and samplers that ask them."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

from toolwise.sampling import SamplingParams
from toolwise.sampling.config import VLLMConfig
from toolwise.sampling.vllm import VLLMSampler
from toolwise.sampling.vllm_pool import ModelFacts
from toolwise.sampling.vllm_weights import CheckpointWeights

DOUBLE = Path(__file__).with_name("vllm_double.py")
PROMPT = [5, 6, 7]
PARAMS = SamplingParams(max_tokens=6)
FACTS = ModelFacts(64, 61, ("abc", [97, 98, 99]))


class Running:
    """A running double."""

    def __init__(self, script, path, port=0):
        path.write_text(json.dumps(script))
        command = [sys.executable, str(DOUBLE), str(path), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def state(self):
        return state_of(self.url)

    def bodies(self, path):
        return [each["body"] for each in self.state()["log"] if each["path"].split("?")[0] == path]

    @property
    def asked(self):
        return self.state()["asked"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def state_of(url):
    """What a double has seen and what it is in."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url + "/log") as answer:
        return json.load(answer)


def sampler_of(*servers, facts=FACTS, delivery=None, **settings):
    urls = [server if isinstance(server, str) else server.url for server in servers]
    config = VLLMConfig(type="vllm", urls=urls, **({"patience": 20, "retries": 3} | settings))
    return VLLMSampler(config, urls, facts, delivery)


class Weights:
    """A checkpoint delivery of one word, which the doubles mix into what they draw."""

    def __init__(self, folder):
        self.word = "first"
        self.delivery = CheckpointWeights(folder, self.write)

    def write(self, folder):
        (folder / "weights.txt").write_text(self.word)


async def until_ready(sampler, count):
    """Return when so many servers can be asked."""
    pool = await sampler._linked()
    await pool.choose(PROMPT)
    while len([server for server in pool.servers if server.ready]) < count:
        await asyncio.sleep(0.02)


def crowd(sampler, count=24, prompt=PROMPT, params=PARAMS, servers=1):
    """Samples of many requests at once, seeds 0, 1, ..., when so many servers are ready."""

    async def ask():
        await until_ready(sampler, servers)
        each = [replace(params, seed=seed) for seed in range(count)]
        return await asyncio.gather(*(sampler.generate(prompt, one) for one in each))

    return asyncio.run(ask())


def one(sampler, prompt=PROMPT, **changes):
    return asyncio.run(sampler.generate(prompt, replace(PARAMS, **changes)))
