"""ServerPool: the servers of a run within one event loop: who can be asked, and who is being brought back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolwise.core import ToolwiseError
from toolwise.sampling.config import VLLMConfig
from toolwise.sampling.deadline import clock_stopped
from toolwise.sampling.http import open_client
from toolwise.sampling.vllm_control import UnavailableError, VLLMControl
from toolwise.sampling.vllm_routes import Routes
from toolwise.sampling.vllm_weights import WeightDelivery

if TYPE_CHECKING:
    import httpx2

    from toolwise.sampling.vllm_server import VLLMServer

_FAILED_STARTS = 3
"""A server of ours that ended so often without ever having answered is not started again."""
_HEALTH_EVERY = 10.0
_HEALTH_FAILURES = 3
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a server's model must have in common with the learner's.

    Attributes:
        context: Most tokens that prompt and sample may have together.
        vocabulary: Number of token ids.
        probe: A text and its tokens, to compare tokenizers; None compares none.
    """

    context: int
    vocabulary: int
    probe: tuple[str, list[int]] | None = None


@dataclass(eq=False, slots=True)
class Server:
    """One server.

    Attributes:
        control: Asks it.
        process: The process, if it is ours.
        slots: Requests that it may still get.
        load: Requests that it has, or that wait for a slot.
        ready: Whether it is up, has the right model and the present weights.
        processed: Whether its log-probabilities are those after temperature and cut.
        lost: Set when it is no longer ready, for those who wait for its answers.
        trouble: What was wrong last.
        failed: What is wrong for good.
        failures: Starts in a row that came to nothing.
        revival: Brings it back.
    """

    control: VLLMControl
    process: VLLMServer | None
    slots: asyncio.Semaphore
    load: int = 0
    ready: bool = False
    processed: bool = True
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: str = "it was not asked yet"
    failed: Exception | None = None
    failures: int = 0
    revival: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return self.control.url


class ServerPool:
    """Belongs to one event loop, which closes it when it ends.

    Each server is looked at before its first request: is it up, has it our model, are its weights the present
    ones? What was found holds until a request fails or three health checks do.

    Args:
        config: The sampler.
        members: Address and process (None: not ours) of each server.
        delivery: Brings weights to servers that have others.
        facts: The learner's model.
        key: The servers' key; may be empty.
    """

    def __init__(
        self,
        config: VLLMConfig,
        members: Sequence[tuple[str, VLLMServer | None]],
        delivery: WeightDelivery,
        facts: ModelFacts,
        key: str,
    ) -> None:
        self.loop, self.closed = asyncio.get_running_loop(), False
        self._config, self._delivery, self._facts = config, delivery, facts
        self._clients: list[httpx2.AsyncClient] = []
        self.servers: list[Server] = []
        for url, process in members:
            # Health checks and updates never wait for a connection.
            http = open_client(url, config.concurrency + 8)
            self._clients.append(http)
            slots = asyncio.Semaphore(config.concurrency)
            self.servers.append(Server(VLLMControl(url, http, key), process, slots))
        self._routes = Routes()
        self._changed = asyncio.Event()
        self._dark_since = time.monotonic()
        self._watch: asyncio.Task[None] | None = None
        self.guard = self._guarded()

    async def _guarded(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.closed = True
            tasks = [server.revival for server in self.servers if server.revival] + [self._watch]
            for task in tasks:
                if task is not None:
                    task.cancel()
            for http in self._clients:
                await http.aclose()

    async def choose(self, prompt_ids: Sequence[int], avoid: Collection[Server] = ()) -> Server:
        """The server that a prompt goes to; waits while there is none, which is not the rollout's time.

        Args:
            prompt_ids: The prompt.
            avoid: Those that have failed with it; they are asked again only if there is no other.

        Raises:
            ToolwiseError: A server cannot be used for good, or none has answered for too long.
        """
        if self._watch is None:
            self._watch = asyncio.create_task(self._check_health())
        while True:
            self._look_after()
            ready = [server for server in self.servers if server.ready]
            if ready:
                others = [server for server in ready if server not in avoid]
                return self._routes.pick(prompt_ids, others or ready)
            with clock_stopped():
                await self._wait()

    def _look_after(self) -> None:
        """See to it that each server that is not ready is being brought back; raise if one cannot be."""
        for server in self.servers:
            if server.failed is not None:
                raise server.failed
            if not server.ready and server.revival is None:
                server.revival = asyncio.create_task(self._revive(server))

    def mark_down(self, server: Server, why: str) -> None:
        """A server is not to be asked until it was looked at again; its requests go elsewhere."""
        if not server.ready:
            return
        server.ready, server.trouble = False, why
        server.lost.set()
        server.lost = asyncio.Event()
        self._routes.forget(server.url)
        if not any(other.ready for other in self.servers):
            self._dark_since = time.monotonic()

    async def doubt(self, server: Server, why: str) -> None:
        """A request has failed: the server is down if it does not say at once that it is well."""
        if not server.ready:
            return
        try:
            await server.control.healthy(_HEALTH_EVERY)
        except UnavailableError:
            self.mark_down(server, why)

    async def _wait(self) -> None:
        left = self._dark_since + self._config.patience - time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), max(0.0, left))
            return
        found = "; ".join(f"{server.url}: {server.trouble}" for server in self.servers)
        raise ToolwiseError(
            f"no vLLM server could be used for {self._config.patience:g} s ({found})",
            where="sampler",
            mend="start the servers again, then run the same command: it goes on from its last checkpoint",
        )

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _revive(self, server: Server) -> None:
        pause = _SHORTEST_PAUSE
        try:
            while not server.ready:
                try:
                    await self._make_ready(server)
                    server.ready, server.failures = True, 0
                except UnavailableError as error:
                    server.trouble = str(error)
                    await asyncio.sleep(pause)
                    pause = min(_LONGEST_PAUSE, 2 * pause)
        except Exception as error:  # Those who wait for the server raise it.
            server.failed = error
        finally:
            server.revival = None
            self._tell()

    async def _make_ready(self, server: Server) -> None:
        control, process, version = server.control, server.process, self._delivery.version
        if process is not None and not process.alive:
            if server.failures >= _FAILED_STARTS:
                raise process.ended()
            server.failures += 1
            await asyncio.to_thread(process.start)
        await control.healthy()
        if self._config.start is not None and self._config.start.sleep:
            await control.wake_up()
        await control.check_model(self._config.model, self._facts.context, self._facts.probe)
        if version is not None and await control.weight_version() != version:
            await self._delivery.deliver(control)
        server.processed = await control.logprobs_are_processed(self._config.model)

    async def _check_health(self) -> None:
        """A machine that is gone answers nothing at all: nobody waits the whole time limit for it."""
        missed = dict.fromkeys(self.servers, 0)
        while True:
            await asyncio.sleep(_HEALTH_EVERY)
            for server in self.servers:
                if not server.ready:
                    missed[server] = 0
                    continue
                try:
                    await server.control.healthy(_HEALTH_EVERY)
                    missed[server] = 0
                except (UnavailableError, ToolwiseError) as error:
                    missed[server] += 1
                    if missed[server] >= _HEALTH_FAILURES:
                        self.mark_down(server, f"{_HEALTH_FAILURES} health checks failed: {error}")
