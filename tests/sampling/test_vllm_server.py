"""Servers of our own: started, killed, started again, stopped; the doubles stand in for vLLM."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolwise.core import ToolwiseError
from toolwise.sampling.config import VLLMConfig
from toolwise.sampling.vllm import VLLMSampler
from toolwise.sampling.vllm_nccl import NCCLWeights, check_cuda
from toolwise.sampling.vllm_server import VLLMServer, planned_servers
from vllm_doubles import DOUBLE, FACTS, Weights, crowd, one, sampler_of, state_of


def ours(tmp_path, script="{}", **start):
    """A server whose "vLLM" is the double, its port chosen as for vLLM."""
    (tmp_path / "script.json").write_text(script)
    config = VLLMConfig(type="vllm", start={"python": sys.executable, **start}, patience=30)
    (server,) = planned_servers(config, config.start, tmp_path, tmp_path, context=64, processed=True)
    place = server.command.index("-m")
    server.command[place : place + 2] = [str(DOUBLE), str(tmp_path / "script.json")]
    return config, server


def members(group):
    """Processes of a group, as the kernel lists them, ended ones that nobody has asked after left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def gone(group):
    for _ in range(300):
        if not members(group):
            return True
        time.sleep(0.1)
    return False


def test_a_killed_server_is_started_again_and_no_sample_is_lost(tmp_path):
    config, server = ours(tmp_path, '{"plan": [{}, {}, {"die": true}]}')
    weights = Weights(tmp_path / "weights")
    sampler = VLLMSampler(config, [server], FACTS, weights.delivery)
    try:
        server.start()
        server.wait_until_ready(60, print)
        sampler.update_weights()
        (tmp_path / "script.json").write_text("{}")
        samples = crowd(sampler, 8)
        assert server.starts == 2
        assert samples == crowd(sampler, 8)
        group = server.pid
        (child,) = set(members(group)) - {group}
        os.kill(child, signal.SIGKILL)
        assert crowd(sampler, 8) == samples
        assert server.starts == 3
        last = server.pid
    finally:
        sampler.close()
    assert gone(group)
    assert gone(last)
    assert not server.alive


def test_a_server_that_always_ends_is_given_up(tmp_path):
    config, server = ours(tmp_path, '{"plan"')
    sampler = VLLMSampler(config, [server], FACTS)
    with pytest.raises(ToolwiseError, match="has ended; its last lines") as found:
        one(sampler)
    assert "JSONDecodeError" in found.value.problem
    assert server.starts == 3
    server.start()
    with pytest.raises(ToolwiseError, match="JSONDecodeError"):
        server.wait_until_ready(60, print)
    sampler.close()


def test_nothing_outlives_a_parent_that_is_killed(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom toolwise.sampling.vllm_server import VLLMServer\n"
        "server = VLLMServer([sys.executable, '-c', 'import time; time.sleep(600)'], 'http://x', "
        f"Path({str(tmp_path / 'log')!r}), {{}})\n"
        "server.start()\nprint(server.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    group = int(parent.stdout.readline())
    assert members(group)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(group)


def test_the_command_of_a_server(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("VLLM_TEST_KEY", "a-secret-key")
    config = VLLMConfig(
        type="vllm",
        start={
            "python": sys.executable,
            "servers": 2,
            "memory_share": 0.4,
            "sleep": True,
            "devices": ["0", "1"],
            "eager": True,
            "arguments": ["--seed", "3"],
            "environment": {"VLLM_CPU_KVCACHE_SPACE": "1"},
        },
        api_key_env="VLLM_TEST_KEY",
    )
    servers = planned_servers(config, config.start, tmp_path, tmp_path, context=128, processed=False)
    assert len({server.url for server in servers}) == 2
    command = servers[1].command
    for pair in (
        ["--gpu-memory-utilization", "0.4"],
        ["--max-model-len", "128"],
        ["--logprobs-mode", "raw_logprobs"],
        ["--served-model-name", "policy"],
        ["--host", "127.0.0.1"],
        ["--seed", "3"],
    ):
        assert command[command.index(pair[0]) + 1] == pair[1]
    assert {"--enable-scale-out", "--enable-sleep-mode", "--enforce-eager"} <= set(command)
    environment = servers[1]._environment
    assert "PYTHONPATH" not in environment
    assert environment["VLLM_SERVER_DEV_MODE"] == environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["VLLM_API_KEY"] == "a-secret-key"
    assert "a-secret-key" not in " ".join(command)


def test_sleep_and_waking_up(tmp_path):
    config, server = ours(tmp_path, sleep=True)
    sampler = VLLMSampler(config, [server], FACTS)
    server.start()
    server.wait_until_ready(60, print)
    try:
        sampler.sleep()
        one(sampler)
        paths = [each["path"] for each in state_of(server.url)["log"]]
        assert paths.index("/sleep?level=1&mode=abort") < paths.index("/wake_up")
        assert paths.index("/wake_up") < paths.index("/inference/v1/generate")
    finally:
        sampler.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "either 'urls' of running servers or 'start'"),
        ({"urls": ["http://127.0.0.1:1"], "start": {}}, "either 'urls' of running servers or 'start'"),
        ({"urls": ["127.0.0.1:1"]}, "no http"),
        ({"urls": ["http://127.0.0.1:1/v1"]}, "must end before /v1"),
        ({"urls": ["http://a:b@127.0.0.1:1"]}, "must hold no user"),
        ({"urls": ["http://127.0.0.1:1", "http://127.0.0.1:1/"]}, "names a server twice"),
        ({"start": {"servers": 2, "devices": ["0"]}}, "devices names 1 and servers is 2"),
        ({"start": {"sleep": True}, "weights": "nccl"}, "nccl joins different GPUs"),
        ({"urls": ["http://127.0.0.1:1"], "api_key_env": "not a name"}, "not the key itself"),
        ({"urls": ["http://127.0.0.1:1"], "wrong": 1}, "Extra inputs"),
    ],
)
def test_a_configuration_that_cannot_be_meant(settings, said):
    with pytest.raises(ValueError, match=said):
        VLLMConfig(type="vllm", **settings)


class SenderDouble:
    """A test double of vLLM's trainer side: it tells the server what that one would, and sends nothing."""

    opened = 0

    def __init__(self, model, world_size, link):
        type(self).opened += 1
        self.model, self.link = model, link
        link.init_weight_transfer_engine({"world_size": world_size})

    def send_weights(self):
        self.link.start_weight_update()
        self.link.update_weights({"names": ["w"]})
        self.link.finish_weight_update()

    def shutdown(self):
        self.model.append("left")


def test_weights_from_gpu_to_gpu_are_told_to_servers_in_order(vllm):
    server, left = vllm(), []
    delivery = NCCLWeights(left, SenderDouble)
    SenderDouble.opened = 0
    sampler = sampler_of(server, delivery=delivery)
    for _ in range(2):
        sampler.update_weights()
        one(sampler)
        assert server.state()["version"] == delivery.version
    told = [each["path"].split("?")[0] for each in server.state()["log"]]
    order = ["/pause", "/start_weight_update", "/update_weights", "/finish_weight_update"]
    order += ["/reset_prefix_cache", "/resume", "/inference/v1/generate"]
    for start in (0, told.index("/inference/v1/generate") + 1):
        places = [told.index(path, start) for path in order]
        assert places == sorted(places)
    assert SenderDouble.opened == 1
    assert server.bodies("/init_weight_transfer_engine") == [{"init_info": {"world_size": 3}}]
    port = server.port
    server.process.kill()
    server.process.wait()
    again = vllm(port=port)
    one(sampler)
    assert SenderDouble.opened == 2
    assert again.state()["version"] == delivery.version
    sampler.close()
    assert left == ["left", "left"]


def test_nccl_needs_a_gpu():
    check_cuda("cuda")
    with pytest.raises(ToolwiseError, match="the learner is on cpu"):
        check_cuda("cpu")


def test_an_address_where_nobody_listens(tmp_path):
    server = VLLMServer([sys.executable, "-c", "pass"], "http://127.0.0.1:9", tmp_path / "log", {})
    server.start()
    with pytest.raises(ToolwiseError, match="has ended"):
        server.wait_until_ready(30, print)
