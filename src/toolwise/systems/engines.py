"""Engines: what a recipe's rollouts are sampled with, opened, kept up to date and closed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from toolwise.core import ToolwiseError
from toolwise.rollout import CollectorConfig
from toolwise.sampling import EmbeddedSampler, Sampler
from toolwise.sampling.config import EmbeddedConfig, VLLMConfig
from toolwise.sampling.vllm import VLLMSampler
from toolwise.sampling.vllm_nccl import NCCLWeights, check_cuda, open_sender
from toolwise.sampling.vllm_pool import ModelFacts
from toolwise.sampling.vllm_server import VLLMServer, planned_servers
from toolwise.sampling.vllm_weights import CheckpointWeights, WeightDelivery
from toolwise.systems.model_folder import write_model
from toolwise.systems.policy import Policy
from toolwise.systems.recipe import RLRecipe

_PROBE = "Tokens: 0123456789, naïve façade, 東京.\n\tdef f(x): return {'<a>': x ** 2}  # …"


class Engine(Protocol):
    """A sampler that follows a policy which learns."""

    @property
    def sampler(self) -> Sampler:
        """Gives the samples."""
        ...

    def take_weights(self, updates: int) -> None:
        """Sample from the policy's present weights from now on.

        Args:
            updates: Optimizer steps so far; weights with the same number are the same.
        """
        ...

    def rest(self) -> None:
        """Nothing is sampled for some time: the learner may have the machine."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class EmbeddedEngine:
    """The engine in this process; it has the policy's own weights.

    Args:
        policy: The policy.
        config: How much is decoded together, and kept.
    """

    def __init__(self, policy: Policy, config: EmbeddedConfig) -> None:
        self._model = policy.model
        self.sampler: EmbeddedSampler = policy.sampler(config)

    def take_weights(self, updates: int) -> None:
        """Keys and values of earlier weights are dropped."""
        self._model.eval()
        self.sampler.update_weights()

    def rest(self) -> None:
        """Keys and values are given back: the weights that they belong to are about to change."""
        self.sampler.release()

    def close(self) -> None:
        """Nothing was started."""


class VLLMEngine:
    """vLLM servers, of our own or not, with the policy's weights delivered to them.

    Args:
        config: The sampler of the recipe.
        rollout: How is sampled; it decides which log-probabilities are asked for.
        policy: The policy.
        folder: Where weights and logs are written.
        say: Hears how starts go.

    Raises:
        ToolwiseError: The servers cannot be started, or cannot give what is asked for.
    """

    def __init__(
        self,
        config: VLLMConfig,
        rollout: CollectorConfig,
        policy: Policy,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._policy, self._config = policy, config
        self._published: int | None = None
        processed = _processed(rollout)
        model = policy.model
        facts = model_facts(policy.context, model.config, policy.tokenizer)
        # On the CPU, vLLM packs an output layer that shares the embeddings' weights once, at its start, and
        # reloading leaves that copy as it is. Servers of ours get it as a layer of its own.
        self._untied = config.start is not None and config.weights == "checkpoint"
        delivery: WeightDelivery
        if config.weights == "nccl":
            check_cuda(str(model.device.type))
            delivery = NCCLWeights(model, open_sender(config.trainer_host))
        else:
            delivery = CheckpointWeights(
                config.folder or folder / "weights",
                lambda path: write_model(path, model, untied=self._untied),
            )
        self._first = folder / "first"
        started: list[VLLMServer] = []
        if config.start is not None:
            self._write_first()
            started = planned_servers(
                config, config.start, self._first, folder, context=policy.context, processed=processed
            )
        self.sampler = VLLMSampler(config, started or config.urls, facts, delivery)
        try:
            bring_up(started, config, say)
        except BaseException:
            self.close()
            raise

    def _write_first(self) -> None:
        """What servers start from, and start again from; present weights are delivered to them."""
        try:
            shutil.rmtree(self._first, ignore_errors=True)
            self._first.mkdir(parents=True)
            write_model(self._first, self._policy.model, self._policy.tokenizer, untied=self._untied)
        except OSError as error:
            raise ToolwiseError(
                f"the model cannot be written: {error}", where=str(self._first), mend="check disk and rights"
            ) from error

    def take_weights(self, updates: int) -> None:
        """See `Engine.take_weights`; the same weights are delivered once."""
        self._policy.model.eval()
        if updates != self._published:
            self.sampler.update_weights()
            self._published = updates

    def rest(self) -> None:
        """Put servers to sleep where the recipe says so."""
        if self._config.start is not None and self._config.start.sleep:
            self.sampler.sleep()

    def close(self) -> None:
        """Stop the servers that were started; remove the weights that were written for servers."""
        self.sampler.close()
        shutil.rmtree(self._first, ignore_errors=True)


def model_facts(context: int, config: Any, tokenizer: Any) -> ModelFacts:
    """What servers must have in common with a model.

    Args:
        context: Most tokens that prompt and sample may have together.
        config: Of the model, as transformers has it.
        tokenizer: Its tokenizer.
    """
    tokens = [int(token) for token in tokenizer.encode(_PROBE, add_special_tokens=False)]
    return ModelFacts(context, int(config.get_text_config().vocab_size), (_PROBE, tokens))


def bring_up(servers: Sequence[VLLMServer], config: VLLMConfig, say: Callable[[str], None]) -> None:
    """Start servers and wait until all of them answer.

    Raises:
        ToolwiseError: One ends, or takes too long.
    """
    for server in servers:
        say(f"starting a vLLM server, {server.url}; its log is {server.log}")
        server.start()
    for server in servers:
        server.wait_until_ready(config.start.startup if config.start else 0.0, say)


def open_engine(recipe: RLRecipe, policy: Policy, folder: Path, say: Callable[[str], None]) -> Engine:
    """The engine that a recipe names.

    Args:
        recipe: Names it.
        policy: What is sampled from.
        folder: Where a server's weights and log are written; not made where there is no server.
        say: Hears how starts go.

    Raises:
        ToolwiseError: Servers cannot be started, or cannot give what is asked for.
    """
    if isinstance(recipe.sampler, VLLMConfig):
        return VLLMEngine(recipe.sampler, recipe.rollout, policy, folder, say)
    return EmbeddedEngine(policy, recipe.sampler)


def _processed(rollout: CollectorConfig) -> bool:
    """Which log-probabilities servers must give: those after temperature (and cut), or the raw ones."""
    cut = rollout.top_k > 0 or rollout.top_p < 1
    if cut and rollout.temperature not in (0.0, 1.0):
        raise ToolwiseError(
            "vLLM gives log-probabilities either at temperature 1 or after top_k and top_p have cut, and "
            f"learning needs those at temperature {rollout.temperature:g}, before the cut",
            where="rollout",
            mend="set rollout.temperature=1, or leave top_k and top_p out, or take sampler.type=embedded",
        )
    return not cut
