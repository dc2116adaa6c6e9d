"""How new weights get into vLLM servers: a label for each set of weights, and a way to deliver it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from toolwise.core import ToolwiseError
from toolwise.sampling.vllm_control import UnavailableError, VLLMControl


class WeightDelivery(Protocol):
    """Delivers the learner's present weights to one server at a time."""

    @property
    def version(self) -> str | None:
        """Label of the present weights; None: whatever the servers have is right."""
        ...

    def publish(self) -> None:
        """The learner's weights are others now: give them a label, and whatever delivery needs."""
        ...

    async def deliver(self, control: VLLMControl) -> None:
        """Make a server, which samples nothing now, sample from the present weights.

        Raises:
            UnavailableError: It does not answer, or failed in a way that may pass.
            ToolwiseError: It cannot take weights.
        """
        ...

    def close(self) -> None:
        """Give back what deliveries needed."""
        ...


class ServersOwnWeights:
    """The servers' weights are those that are asked for: nothing is delivered."""

    version = None

    def publish(self) -> None:
        """There are no others."""

    async def deliver(self, control: VLLMControl) -> None:
        """Nothing is to be done."""

    def close(self) -> None:
        """Nothing is held."""


class VersionLabels:
    """Labels that no other run and no other set of weights has.

    They are not seeded: they name what one process has written, and decide nothing that is sampled.
    """

    def __init__(self) -> None:
        self._run, self.count = uuid.uuid4().hex[:12], 0

    def next(self) -> str:
        """A new label."""
        self.count += 1
        return f"toolwise-{self._run}-{self.count}"


class CheckpointWeights:
    """Weights go through a folder in the Hugging Face layout that the servers read.

    Args:
        folder: Where the folders are made; servers see it under the same path.
        write: Writes the learner's model into an empty folder.
    """

    def __init__(self, folder: Path, write: Callable[[Path], None]) -> None:
        self._folder, self._write = folder, write
        self._labels = VersionLabels()
        self._path: Path | None = None
        self.version: str | None = None

    def publish(self) -> None:
        """Write the present weights; the ones before them are removed.

        Raises:
            ToolwiseError: The disk refuses.
        """
        version = self._labels.next()
        path = self._folder / version
        partial = path.with_name(f".{version}.partial")
        try:
            partial.mkdir(parents=True)
            self._write(partial)
            os.replace(partial, path)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise ToolwiseError(
                f"the weights cannot be written: {error}",
                where=str(self._folder),
                mend="make room on the disk, or name another folder: sampler.folder",
            ) from error
        before, self._path, self.version = self._path, path, version
        if before is not None:
            shutil.rmtree(before, ignore_errors=True)

    async def deliver(self, control: VLLMControl) -> None:
        """Let the server read the folder, and check that it says so."""
        path, version = self._path, self.version
        if path is None or version is None:
            raise RuntimeError("nothing is published yet")
        await _reload(control, path, version)

    def close(self) -> None:
        """Remove the folder."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)


class FolderWeights:
    """The weights of a model folder that is there already.

    Args:
        folder: In the Hugging Face layout; servers see it under the same path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.version = VersionLabels().next()

    def publish(self) -> None:
        """There are no others."""

    async def deliver(self, control: VLLMControl) -> None:
        """Let the server read the folder, and check that it says so."""
        await _reload(control, self._folder, self.version)

    def close(self) -> None:
        """The folder stays."""


async def _reload(control: VLLMControl, folder: Path, version: str) -> None:
    await control.pause()
    await control.reload_weights(str(folder.resolve()))
    await finish_delivery(control, version)


async def finish_delivery(control: VLLMControl, version: str, *, label: bool = True) -> None:
    """Forget what the old weights computed, label the new ones, and go on.

    A server that fails before this is done keeps its old label, and nothing that it samples is taken.

    Args:
        control: The server, paused.
        version: Label of the new weights.
        label: Set it; without, the server must have it already.

    Raises:
        UnavailableError: The server fails, or has another label afterwards.
    """
    await control.reset_prefix_cache()
    if label:
        await control.set_weight_version(version)
    await control.resume()
    if (found := await control.weight_version()) != version:
        raise UnavailableError(f"it says that its weights are '{found}', and '{version}' were delivered")
