"""Metric sinks: the same numbers to TensorBoard, Weights & Biases or Trackio as well."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

from toolwise.core import ToolwiseError

SinkName = Literal["tensorboard", "wandb", "trackio"]


class MetricSink(Protocol):
    """Where metrics go besides ``metrics.jsonl``."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one step."""
        ...

    def close(self) -> None:
        """Hand over what is still held back."""
        ...


def open_sink(name: SinkName, folder: Path, project: str = "toolwise") -> MetricSink:
    """Open a sink for the run in `folder`; the run goes by the folder's name.

    Raises:
        ToolwiseError: Its package is not installed.
    """
    if name == "tensorboard":
        return _TensorBoard(_load("torch.utils.tensorboard", name), folder)
    return _Tracker(_load(name, name), folder, project)


def _load(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ToolwiseError(
            f"the package for {extra!r} is not installed",
            where="sinks",
            mend=f"pip install 'toolwise[{extra}]'",
        ) from error


class _TensorBoard:
    def __init__(self, module: ModuleType, folder: Path) -> None:
        self._writer = module.SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Tracker:
    """Weights & Biases, and Trackio, which has its interface."""

    def __init__(self, module: ModuleType, folder: Path, project: str) -> None:
        self._module = module
        module.init(project=project, name=folder.resolve().name)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        self._module.log(dict(metrics), step=step)

    def close(self) -> None:
        self._module.finish()
