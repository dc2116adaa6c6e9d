"""The last layer computes what is asked for: other tokens only give it keys and values.

Few tokens of a long prompt predict anything that is trained. What the last layer makes of the others (their
queries, what they attend to, the feed-forward part) nobody looks at; their keys and values are all it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from toolwise.learning.path_attention import KeysTaken
from toolwise.learning.sight import Apart, Sight


@contextmanager
def trimming(body: nn.Module) -> Iterator[None]:
    """For as long as the block runs, the last layer of a decoder does what its `Sight` says in `last`."""
    layers = getattr(body, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not len(layers):
        yield
        return
    handle = layers[-1].register_forward_pre_hook(_trim, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _trim(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
    sight = kwargs.get("paths")
    if not isinstance(sight, Sight) or sight.last is None or len(args) != 1:
        return None
    (hidden,) = args
    shape = hidden.shape[:2]
    if not all(_places_first(value, shape) for value in kwargs.values()):
        return None
    last = sight.last
    others = {name: _at(value, shape, last.others) for name, value in kwargs.items()}
    key, value = _keys(layer, _at(hidden, shape, last.others), others | {"paths": None})
    asked = {name: _at(value, shape, last.places) for name, value in kwargs.items()}
    asked["paths"] = replace(last.sight, apart=Apart(key, value, last.order))
    return (_at(hidden, shape, last.places),), asked


def _keys(layer: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    # Computing these anew in the backward pass would cost more than it saves.
    before = getattr(layer, "gradient_checkpointing", None)
    if before:
        layer.gradient_checkpointing = False
    try:
        layer.forward(hidden, **kwargs)
    except KeysTaken as taken:
        return taken.key, taken.value
    finally:
        if before:
            layer.gradient_checkpointing = before
    raise RuntimeError("the last layer does not attend in the way that it was told to")


def _places_first(value: Any, shape: torch.Size) -> bool:
    """Whether it is understood how a layer's argument belongs to the tokens (rows, length)."""
    if isinstance(value, (tuple, list)):
        return all(_places_first(part, shape) for part in value)
    return not isinstance(value, Tensor) or value.numel() == 1 or value.shape[:2] in (shape, (1, shape[1]))


def _at(value: Any, shape: torch.Size, places: Tensor) -> Any:
    """The argument for the tokens at some places only, as one row."""
    if isinstance(value, (tuple, list)):
        return type(value)(_at(part, shape, places) for part in value)
    if not isinstance(value, Tensor) or value.numel() == 1:
        return value
    if value.shape[0] == 1 and shape[0] > 1:
        places = places % shape[1]
    return value.flatten(0, 1).index_select(0, places)[None]
