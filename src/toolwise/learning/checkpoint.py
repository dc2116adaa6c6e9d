"""Checkpoints: a folder in the Hugging Face layout and one state file; there whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from toolwise.core import ToolwiseError
from toolwise.learning.adapters import has_adapter, load_adapter, save_adapter
from toolwise.learning.sharding import put

CRITIC = "critic"
"""Folder of the critic within a checkpoint."""
STATE_FILE = "trainer_state.pt"
_NAME = re.compile(r"step_(\d+)")


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    state: Mapping[str, Any],
    *,
    tokenizer: Any = None,
    critic: nn.Module | None = None,
    weights: Mapping[str, Tensor] | None = None,
    critic_weights: Mapping[str, Tensor] | None = None,
    keep: int = 2,
) -> Path:
    """Write ``folder/step_XXXXXX`` so that it exists only when all of it is on the disk.

    Args:
        folder: Where the checkpoints of a run lie; made if missing.
        step: Number of finished steps.
        model: Saved with ``save_pretrained``, so that ``transformers`` and vLLM load it; of a model with an
            adapter only that, as PEFT saves it.
        state: Tensors and plain values; read back without unpickling code.
        tokenizer: Saved beside the model where given.
        critic: Saved the same way in the folder ``critic`` where given.
        weights: The model's whole weights, where its own are shards.
        critic_weights: The critic's.
        keep: Number of newest checkpoints to keep, ≥ 1.

    Returns:
        The checkpoint.

    Raises:
        ToolwiseError: It could not be written (a full disk); what was half written is gone and the
            checkpoint before it is intact.
    """
    final = folder / f"step_{step:06d}"
    partial = folder / f".{final.name}.partial"
    earlier = list_checkpoints(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        partial.mkdir()
        with _quiet():
            if has_adapter(model):
                save_adapter(partial, model, weights)
            else:
                model.save_pretrained(partial, state_dict=weights)  # type: ignore[operator]
            if critic is not None:
                critic.save_pretrained(partial / CRITIC, state_dict=critic_weights)  # type: ignore[operator]
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
        write_state(partial / STATE_FILE, state)
        for path in partial.rglob("*"):
            _sync(path)
        _sync(partial)
        _remove(final)
        partial.rename(final)
        _sync(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        _remove(partial)
        intact = (
            f"the checkpoint before it is intact: {earlier[-1]}" if earlier else "there is none before it"
        )
        raise ToolwiseError(
            f"the checkpoint of step {step} could not be written ({error}); {intact}",
            where=str(folder),
            mend="make room on the disk, then run the same command again: it goes on from there",
        ) from error
    for old in list_checkpoints(folder)[: -max(1, keep)]:
        _remove(old)
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints below a folder, oldest first."""
    found = [path for path in folder.glob("step_*") if _NAME.fullmatch(path.name)]
    return sorted(
        (path for path in found if (path / STATE_FILE).is_file()),
        key=lambda path: int(path.name[len("step_") :]),
    )


def load_checkpoint(checkpoint: Path, model: nn.Module, critic: nn.Module | None = None) -> dict[str, Any]:
    """Put a checkpoint's weights into `model`, and into `critic`; return the state that was saved with them.

    Raises:
        ToolwiseError: The files cannot be read, or belong to another model.
    """
    try:
        _load_weights(checkpoint, model)
        if critic is not None:
            _load_weights(checkpoint / CRITIC, critic)
        return read_state(checkpoint / STATE_FILE)
    except (OSError, EOFError, RuntimeError, ValueError, SafetensorError, UnpicklingError) as error:
        raise ToolwiseError(
            f"the checkpoint cannot be read ({error})",
            where=str(checkpoint),
            mend="remove its folder to go on from the one before it",
        ) from error


def _load_weights(folder: Path, model: nn.Module) -> None:
    if has_adapter(model):
        load_adapter(folder, model)
        return
    with _quiet():
        loaded = type(model).from_pretrained(  # type: ignore[attr-defined]
            folder, dtype=next(model.parameters()).dtype, local_files_only=True
        )
    if any(isinstance(value, DTensor) for value in model.parameters()):
        for (name, ours), (other, value) in zip(
            model.named_parameters(), loaded.named_parameters(), strict=True
        ):
            if name != other:
                raise ValueError(f"it has {other} where the model has {name}")
            put(ours, value)
        return
    model.load_state_dict(loaded.state_dict())


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to a file."""
    with path.open("wb") as file:
        torch.save(dict(state), file)


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote; anything but tensors and plain values is refused."""
    # Mapped: a rank reads its shards only.
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars, which would tear the command line's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _sync(path: Path) -> None:
    """Make sure that a file or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
