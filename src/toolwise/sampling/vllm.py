"""VLLMSampler: a sampler whose tokens come from one or many vLLM servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.sampling.chat_limits import backoff_delay, jitter
from toolwise.sampling.config import VLLMConfig
from toolwise.sampling.http import read_key
from toolwise.sampling.sampler import Sample, SamplingParams, room_after
from toolwise.sampling.vllm_control import UnavailableError, VLLMControl, said
from toolwise.sampling.vllm_pool import ModelFacts, Server, ServerPool
from toolwise.sampling.vllm_server import VLLMServer
from toolwise.sampling.vllm_weights import ServersOwnWeights, WeightDelivery
from toolwise.sampling.vllm_wire import (
    PATH,
    Expected,
    FaultyAnswerError,
    StaleWeightsError,
    read_answer,
    request_body,
)

_FIRST_PAUSE = 0.25


class _LostError(Exception):
    """The server of a request went down while it waited."""


class VLLMSampler:
    """Asks vLLM servers for samples; a `Sampler`.

    A request that fails, whose answer breaks the protocol, or whose server dies, is sent again as a whole, to
    another server if there is one. It carries its own seed, so nothing is lost and nothing depends on it.
    The n samples of a prompt are n requests with a seed each, which go to the same server.

    It is used from asyncio code, in any number of event loops one after the other.

    Args:
        config: How servers are asked.
        servers: Addresses, or processes of ours: these are started again when they die.
        facts: The learner's model.
        delivery: Brings new weights to the servers; None: theirs are the right ones.

    Attributes:
        context_length: Most tokens that prompt and sample may have together.
        repeats: Requests that were sent again, so far.

    Raises:
        ToolwiseError: The environment variable that should hold the key is not set.
    """

    def __init__(
        self,
        config: VLLMConfig,
        servers: Sequence[str | VLLMServer],
        facts: ModelFacts,
        delivery: WeightDelivery | None = None,
    ) -> None:
        self._config, self._facts = config, facts
        self._members = [(each, None) if isinstance(each, str) else (each.url, each) for each in servers]
        self._delivery: WeightDelivery = delivery or ServersOwnWeights()
        self._key = read_key(config.api_key_env)
        self._pool: ServerPool | None = None
        self.context_length = facts.context
        self.repeats = 0

    def update_weights(self) -> None:
        """Take the learner's present weights: servers get them before they are asked again.

        Raises:
            ToolwiseError: They cannot be written.
        """
        self._delivery.publish()

    async def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> Sample:
        """Sample one completion of a prompt.

        Raises:
            ToolwiseError: The prompt is empty or leaves no room; a server refuses, has another model or gives
                log-probabilities of another kind; or no server gave a usable answer, however often it was
                asked.
        """
        prompt = tuple(prompt_ids)
        limit = min(params.max_tokens, room_after(prompt, self.context_length))
        body = request_body(self._config.model, prompt, params, limit)
        pool = await self._linked()
        failed: list[Server] = []
        troubles: list[str] = []
        while len(troubles) <= self._config.retries:
            if troubles:
                await asyncio.sleep(backoff_delay(len(troubles) - 1, _FIRST_PAUSE, None, jitter()))
            server = await pool.choose(prompt, failed)
            self._check_logprobs(server, params)
            server.load += 1
            try:
                async with server.slots:
                    if server.ready:
                        return await _unless_lost(server, self._ask(server.control, body, prompt, params))
            except _LostError:
                self.repeats += 1
                continue
            except (UnavailableError, FaultyAnswerError) as error:
                self.repeats += 1
                troubles.append(f"{server.url}: {error}")
                failed.append(server)
                if isinstance(error, StaleWeightsError):
                    pool.mark_down(server, str(error))
                elif isinstance(error, UnavailableError):
                    await pool.doubt(server, str(error))
            finally:
                server.load -= 1
        raise ToolwiseError(
            f"no usable answer in {len(troubles)} tries; the last one, {troubles[-1]}",
            where="sampler",
            mend="look at the server's log, or raise sampler.timeout if it is only slow; the same command "
            "then goes on from its last checkpoint",
        )

    async def _ask(
        self, control: VLLMControl, body: dict[str, Any], prompt: tuple[int, ...], params: SamplingParams
    ) -> Sample:
        # Weights may be published between two loops only, so this is what the server was made ready with.
        expected = Expected(
            self._config.model, self._facts.vocabulary, self.context_length, self._delivery.version
        )
        status, data = await control.ask("POST", PATH, body, limit=self._config.timeout)
        if status == 200:
            return read_answer(data, prompt, params, expected, control.where)
        control.refuse(status, data, PATH)
        raise UnavailableError(said(status, data))

    def _check_logprobs(self, server: Server, params: SamplingParams) -> None:
        """Log-probabilities must be those at the sampling temperature, before a cut (see `Sample`)."""
        if params.temperature == 0:
            return  # Both kinds are those at temperature 1, uncut.
        if server.processed and (params.top_k > 0 or params.top_p < 1):
            raise ToolwiseError(
                "gives log-probabilities after top_k and top_p, and learning needs those before",
                where=server.control.where,
                mend="start it with --logprobs-mode raw_logprobs (temperature 1 only), or leave them out",
            )
        if not server.processed and params.temperature != 1:
            raise ToolwiseError(
                f"gives log-probabilities at temperature 1, and {params.temperature:g} is sampled at",
                where=server.control.where,
                mend="start it with --logprobs-mode processed_logprobs, or sample at temperature 1",
            )

    async def _linked(self) -> ServerPool:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._pool.loop is not loop or self._pool.closed:
            pool = ServerPool(self._config, self._members, self._delivery, self._facts, self._key)
            self._pool = pool
            await anext(pool.guard)
        return self._pool

    def sleep(self) -> None:
        """Let the servers give back the memory of their GPUs, until they are asked again.

        Raises:
            ToolwiseError: One does not know how to (``--enable-sleep-mode``).
        """

        async def one(control: VLLMControl) -> None:
            await control.sleep()

        self._each(one)

    def _each(self, act: Callable[[VLLMControl], Awaitable[None]]) -> None:
        async def run() -> None:
            pool = await self._linked()
            for server in pool.servers:
                try:
                    await act(server.control)
                except UnavailableError:
                    continue  # It is brought back when it is needed.

        asyncio.run(run())

    def close(self) -> None:
        """Stop the servers that are ours, and remove the weights that were written for them."""
        for _, process in self._members:
            if process is not None:
                process.stop()
        self._delivery.close()


async def _unless_lost(server: Server, answer: Coroutine[Any, Any, Sample]) -> Sample:
    """Wait for an answer for as long as its server is there."""
    task = asyncio.ensure_future(answer)
    lost = asyncio.ensure_future(server.lost.wait())
    try:
        await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise _LostError
    finally:
        task.cancel()
        lost.cancel()
