"""Keys and values of what the engine has read, by row while decoding and parked between turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import Cache, PreTrainedConfig


class RowCache(Cache):  # type: ignore[misc]
    """Dense rows of keys and values that grow at their own pace.

    The storage is one tensor of shape (layers, 2, rows, heads, capacity, head size). A forward pass
    addresses the rows ``first … first + n`` and writes the new tokens of each at its own positions;
    attention sees a view, nothing is copied.
    """

    def __init__(self, config: PreTrainedConfig, dtype: torch.dtype, device: torch.device) -> None:
        """An empty cache for models of this configuration."""
        self.layers: list[object] = []
        text = config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self._shape = (text.num_hidden_layers, 2, heads, head_dim)
        self._options = {"dtype": dtype, "device": device}
        self.storage = self._allocate(0, 0)
        self._first = 0
        self._positions = torch.zeros(0, 0, dtype=torch.long)
        self._width = 0

    def _allocate(self, rows: int, capacity: int) -> torch.Tensor:
        layers, pair, heads, head_dim = self._shape
        return torch.zeros(layers, pair, rows, heads, capacity, head_dim, **self._options)  # type: ignore[call-overload, no-any-return]

    def reserve(self, rows: int, capacity: int) -> None:
        """Make room for at least this many rows of this many tokens; contents stay."""
        have_rows, have_capacity = self.storage.shape[2], self.storage.shape[4]
        if rows <= have_rows and capacity <= have_capacity:
            return
        grown = self._allocate(
            max(have_rows, _round_up(rows, 16)), max(have_capacity, _round_up(capacity, 64))
        )
        grown[:, :, :have_rows, :, :have_capacity] = self.storage
        self.storage = grown

    def address(self, first: int, positions: torch.Tensor) -> None:
        """Say where the next forward pass writes: rows from `first`, `positions` of shape (n, s)."""
        self._first = first
        self._positions = positions
        self._width = int(positions.max()) + 1

    @property
    def width(self) -> int:
        """How many positions the addressed forward pass can see."""
        return self._width

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: object,
        **kw: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values of shape (n, heads, s, head size); return views of all so far."""
        count = self._positions.shape[0]
        rows = torch.arange(self._first, self._first + count, device=key_states.device)[:, None]
        layer = self.storage[layer_idx]
        layer[0][rows, :, self._positions] = key_states.transpose(1, 2)
        layer[1][rows, :, self._positions] = value_states.transpose(1, 2)
        seen = layer[:, self._first : self._first + count, :, : self._width]
        return seen[0], seen[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions are given explicitly, so nothing is derived from a common length."""
        return 0

    def copy_row(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of a row onto another."""
        if source != target and length:
            self.storage[:, :, target, :, :length] = self.storage[:, :, source, :, :length]

    def read_row(self, row: int, length: int) -> torch.Tensor:
        """A copy of a row, shape (layers, 2, heads, length, head size)."""
        return self.storage[:, :, row, :, :length].clone()

    def write_row(self, row: int, parked: torch.Tensor, length: int) -> None:
        """Put a parked row (its first `length` tokens) back."""
        self.storage[:, :, row, :, :length] = parked[:, :, :, :length]


@dataclass(slots=True)
class _Parked:
    token_ids: tuple[int, ...]
    keys_values: torch.Tensor


class PrefixStore:
    """Parked rows, found again by the tokens they hold; the least recently used go first.

    Args:
        max_tokens: How many tokens all parked rows may hold together.
    """

    def __init__(self, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._entries: OrderedDict[int, _Parked] = OrderedDict()
        self._tokens = 0

    def clear(self) -> None:
        """Forget everything: the weights have changed."""
        self._entries.clear()
        self._tokens = 0

    def park(self, token_ids: tuple[int, ...], keys_values: torch.Tensor) -> None:
        """Keep keys and values of these tokens."""
        key = _prefix_keys(token_ids)[-1]
        previous = self._entries.pop(key, None)
        if previous is not None:
            self._tokens -= len(previous.token_ids)
        self._entries[key] = _Parked(token_ids, keys_values)
        self._tokens += len(token_ids)
        while self._tokens > self.max_tokens and self._entries:
            _, dropped = self._entries.popitem(last=False)
            self._tokens -= len(dropped.token_ids)

    def longest_prefix(self, token_ids: Sequence[int]) -> tuple[int, torch.Tensor | None]:
        """The longest parked row that is a proper prefix: its length and its keys and values."""
        keys = _prefix_keys(token_ids)
        for length in range(len(token_ids) - 1, 0, -1):
            entry = self._entries.get(keys[length - 1])
            if entry is not None and entry.token_ids == tuple(token_ids[:length]):
                self._entries.move_to_end(keys[length - 1])
                return length, entry.keys_values
        return 0, None


def _prefix_keys(token_ids: Sequence[int]) -> list[int]:
    """A rolling hash of every prefix; collisions are caught by comparing the tokens."""
    keys, value = [], 1469598103934665603
    for token in token_ids:
        value = ((value ^ (token + 1)) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
        keys.append(value)
    return keys


def _round_up(value: int, step: int) -> int:
    return (value + step - 1) // step * step
