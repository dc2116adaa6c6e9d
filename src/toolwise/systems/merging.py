"""Merging: an adapter becomes part of its model's weights, in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from toolwise.core import ToolwiseError
from toolwise.systems.models import is_adapter, load_model, quiet, resolve_model


def merge_adapter(source: str, out: Path, precision: Literal["float32", "bfloat16"] = "float32") -> Path:
    """Write the model of an adapter, with the adapter added to its weights, as an ordinary model folder.

    Args:
        source: A run folder (its newest checkpoint is taken) or the folder of an adapter.
        out: The new folder; it must be empty, or not be there.
        precision: Of the weights in it.

    Returns:
        The folder.

    Raises:
        ToolwiseError: There is no adapter, its model cannot be loaded, or the folder cannot be written.
    """
    place = resolve_model(source)
    if not is_adapter(place):
        raise ToolwiseError(
            "is no adapter, so there is nothing to merge",
            where=f"model '{source}'",
            mend="give a run that was trained with model.lora; others are whole models already",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ToolwiseError("is there already", where=str(out), mend="choose another --out")
    model, tokenizer = load_model(place, precision)
    try:
        with quiet():
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)
    except OSError as error:
        raise ToolwiseError(
            f"cannot be written: {error}", where=str(out), mend="check disk and rights"
        ) from error
    return out
