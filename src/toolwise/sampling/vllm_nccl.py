"""NCCLWeights: weights go from the learner's GPU to the servers' by vLLM's own weight transfer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.sampling.vllm_control import UnavailableError, VLLMControl
from toolwise.sampling.vllm_weights import VersionLabels, finish_delivery

Opener = Callable[[Any, int, "ServerLink"], Any]
"""From model, world size and link to a sender that has `send_weights` and `shutdown`."""


class ServerLink:
    """What vLLM's sender tells a server, in the words that it uses (``VLLMWeightSyncClient``).

    Its methods are called from threads beside the event loop that serves them.

    Args:
        control: The server.
        loop: The event loop that runs.
    """

    def __init__(self, control: VLLMControl, loop: asyncio.AbstractEventLoop) -> None:
        self._control, self._loop, self.version = control, loop, ""

    def attach(self, control: VLLMControl, loop: asyncio.AbstractEventLoop, version: str) -> None:
        """Connections belong to an event loop, and each step of collecting has its own."""
        self._control, self._loop, self.version = control, loop, version

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Let the server join the group."""
        self._tell("/init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        """Weights are about to come."""
        self._tell("/start_weight_update", None)

    def update_weights(self, update_info: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Receive the weights that are described."""
        self._tell("/update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """All have come; they get the present label."""
        self._tell("/finish_weight_update", {"weight_version": weight_version or self.version})

    def _tell(self, path: str, body: dict[str, Any] | None) -> None:
        asyncio.run_coroutine_threadsafe(self._control.tell(path, body, limit=600.0), self._loop).result()


class NCCLWeights:
    """Sends each server the weights over a group of its own, so that one can restart without the others.

    The learner and the server are on different GPUs; NCCL joins no two processes on one.

    Args:
        model: The learner's model, on a GPU; its parameters have the names of the checkpoint.
        opener: Opens a sender; `open_sender` outside of tests.
    """

    def __init__(self, model: Any, opener: Opener) -> None:
        self._model, self._opener = model, opener
        self._labels = VersionLabels()
        self.version: str | None = None
        self._senders: dict[str, tuple[Any, ServerLink, str]] = {}

    def publish(self) -> None:
        """Give the present weights a label; they are sent when a server asks for them."""
        self.version = self._labels.next()

    async def deliver(self, control: VLLMControl) -> None:
        """Send the weights, into a new group if the server is not the process that joined the last one."""
        version = self.version
        if version is None:
            raise RuntimeError("nothing is published yet")
        loop = asyncio.get_running_loop()
        await control.pause()
        there = await control.weight_version()
        joined = self._senders.pop(control.url, None)
        if joined is not None and joined[2] != there:
            await asyncio.to_thread(joined[0].shutdown)
            joined = None
        if joined is None:
            await control.tell("/shutdown_weight_transfer_engine")  # Of a group whose sender is gone.
            size = 1 + await control.world_size()
            link = ServerLink(control, loop)
            sender = await asyncio.to_thread(self._guarded, self._opener, self._model, size, link)
        else:
            sender, link, _ = joined
        link.attach(control, loop, version)
        await asyncio.to_thread(self._guarded, sender.send_weights)
        await finish_delivery(control, version, label=False)
        self._senders[control.url] = (sender, link, version)

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (UnavailableError, ToolwiseError):
            raise
        except (RuntimeError, OSError, ValueError) as error:  # what NCCL and its rendezvous raise
            problem = " ".join(str(error).split())[:300]
            raise UnavailableError(f"the weight transfer failed: {problem}") from error

    def close(self) -> None:
        """Leave the groups."""
        for sender, _, _ in self._senders.values():
            sender.shutdown()
        self._senders.clear()


def open_sender(host: str) -> Opener:
    """An opener of vLLM's NCCL sender.

    Args:
        host: Address of this machine, as the servers see it.
    """

    def opener(model: Any, world_size: int, link: ServerLink) -> Any:
        try:
            from vllm.distributed.weight_transfer.base import ModuleSource
            from vllm.distributed.weight_transfer.nccl_engine import (
                NCCLTrainerInitInfo,
                NCCLTrainerWeightTransferEngine,
            )
        except ImportError as error:
            raise ToolwiseError(
                f"vLLM's weight transfer cannot be imported: {error}",
                where="sampler.weights",
                mend="install vLLM beside Toolwise, or take sampler.weights=checkpoint",
            ) from error
        info = NCCLTrainerInitInfo(host, _free_port(), world_size, rank=0)
        return NCCLTrainerWeightTransferEngine.trainer_init(info, client=link, source=ModuleSource(model))

    return opener


def check_cuda(device: str) -> None:
    """Refuse NCCL where the model is on no GPU.

    Raises:
        ToolwiseError: It is not.
    """
    if device != "cuda":
        raise ToolwiseError(
            f"nccl sends weights from GPU to GPU, and the learner is on {device}",
            where="sampler.weights",
            mend="take sampler.weights=checkpoint",
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
