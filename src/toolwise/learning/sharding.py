"""How a model lies on several ranks: whole on each (DDP) or in shards (FSDP2); torch does the work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map_only

from toolwise.core import Task, ToolwiseError, Turn
from toolwise.core.tree import RolloutTree
from toolwise.learning.distributed import ALONE, DistributedConfig, World
from toolwise.learning.packing import TokenBatch, pack
from toolwise.learning.token_tree import TokenTree

Compute = Callable[..., Any]
"""``(model, batch, **settings)`` to tensors, such as `token_logprobs`."""
TRAINED_BYTES = 16
"""Of a trained weight: itself, its gradient, AdamW's two moments, all float32."""


class _Computing(nn.Module):
    """A model whose forward pass is one of our computations, as DDP and FSDP2 hook into forward passes."""

    def __init__(self, model: nn.Module, compute: Compute) -> None:
        super().__init__()
        self.model, self.compute = model, compute

    def forward(self, batch: TokenBatch, **settings: Any) -> Any:
        # FSDP2 hooks into what is returned, and wants no views.
        return tree_map_only(
            Tensor,
            lambda value: value.clone() if value._is_view() else value,
            self.compute(self.model, batch, **settings),
        )


class Spread:
    """The ranks, and how models lie on them.

    Args:
        world: The ranks.
        config: See `DistributedConfig`.
        strategy: ``auto`` settled, see `settled_strategy`.
    """

    def __init__(
        self,
        world: World = ALONE,
        config: DistributedConfig | None = None,
        strategy: Literal["ddp", "fsdp2"] = "ddp",
    ) -> None:
        self.world, self.config = world, config or DistributedConfig()
        self.sharded = strategy == "fsdp2" and world.size > 1

    @property
    def device(self) -> torch.device | None:
        """Where sharded models are computed; None: where they lie."""
        if not self.sharded:
            return None
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else _CPU

    def computing(self, model: nn.Module, compute: Compute, *, narrow: bool) -> Compute:
        """``(batch, **settings)``: the computation with a model, which is spread over the ranks for it.

        Args:
            model: Equal on all ranks; sharded in place where models are sharded.
            compute: What is computed.
            narrow: Sharded weights are gathered and multiplied as bfloat16; gradients are summed in float32.

        Raises:
            EverywhereError: The ranks have different weights.
            ToolwiseError: Weights of 4 bits cannot be sharded.
        """
        if self.world.size == 1:
            return partial(compute, model)
        self.world.same(
            [float(value.detach().double().sum()) for value in model.parameters()],
            "weights to begin with",
            "all must load the same model, with the same libraries",
        )
        module = _Computing(model, compute)
        if self.sharded:
            return self._shard(module, narrow)
        if any(parameter.requires_grad for parameter in model.parameters()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # newer versions have another name for it
                return DistributedDataParallel(module, broadcast_buffers=False)
        return partial(compute, model)

    def _shard(self, module: _Computing, narrow: bool) -> Compute:
        if any(parameter.dtype == torch.uint8 for parameter in module.parameters()):
            raise ToolwiseError(
                "weights of 4 bits cannot be sharded",
                where="distributed.strategy",
                mend="set it to ddp, or model.lora.base to bfloat16",
            )
        device = self.device or _CPU
        settings: dict[str, Any] = {
            "mesh": self.world.mesh(device.type),
            "mp_policy": MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
            if narrow
            else MixedPrecisionPolicy(),
            "offload_policy": CPUOffloadPolicy(pin_memory=device.type == "cuda")
            if self.config.cpu_offload
            else OffloadPolicy(),
        }
        layers = set(getattr(module.model, "_no_split_modules", None) or ())
        for part in list(module.modules()):
            if type(part).__name__ in layers:
                fully_shard(part, **settings)
        # Embeddings and output layer too are let go of after the forward pass, so that what stays are shards.
        fully_shard(module, **settings, reshard_after_forward=True)
        return module

    def passes(
        self, compute: Compute, batches: Sequence[TokenBatch], device: torch.device, dtype: torch.dtype
    ) -> Iterator[tuple[TokenBatch, bool]]:
        """The batches of this rank on the device, then empty ones until all ranks have had as many.

        Sharded weights are gathered in every pass, so all ranks must make each of them. The gradients of
        whole models are summed in the last backward pass.

        Args:
            compute: From `computing`.
            batches: This rank's; their numbers may differ.
            device: Where they are computed.
            dtype: Of the empty ones.

        Yields:
            Batches, and whether they hold anything.
        """
        most = max(self.world.gather(len(batches)))
        for number in range(most):
            real = number < len(batches)
            batch = batches[number] if real else _empty(dtype)
            within: AbstractContextManager[None] = nullcontext()
            if isinstance(compute, DistributedDataParallel) and number + 1 < most:
                within = compute.no_sync()
            with within:
                yield batch.to(device), real


def settled_strategy(model: nn.Module, world: World, config: DistributedConfig) -> Literal["ddp", "fsdp2"]:
    """What ``auto`` means for a model on these machines; all ranks settle on the same."""
    if config.strategy != "auto":
        return config.strategy
    needed = sum(
        value.numel() * (TRAINED_BYTES if value.requires_grad else value.element_size())
        for value in model.parameters()
    )
    large = False
    if torch.cuda.is_available():
        large = needed > torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 3
    return "fsdp2" if any(world.gather(large)) else "ddp"


def whole(value: Tensor) -> Tensor:
    """A tensor with all its shards; every rank must ask for it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def put(target: Tensor, source: Tensor) -> None:
    """Write a whole tensor into one that may be sharded; each rank takes its part, without communication."""
    with torch.no_grad():
        if isinstance(target, DTensor):
            part = sharded_like(target, source)
            assert isinstance(part, DTensor)
            target.to_local().copy_(part.to_local())
        else:
            target.copy_(source)


def sharded_like(target: Tensor, source: Tensor) -> Tensor:
    """A whole tensor laid out as `target` is."""
    if not isinstance(target, DTensor):
        return source
    source = source.to(target.dtype)
    laid = distribute_tensor(source, target.device_mesh, target.placements, src_data_rank=None)
    return laid.to(target.device)


def refresh(copy: nn.Module, model: nn.Module) -> None:
    """Bring a whole copy up to a sharded model, one weight at a time; frozen weights are equal."""
    ours = dict(copy.named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            put(ours[name], whole(parameter.detach()))


def gathered_weights(model: nn.Module, world: World, *, trained_only: bool = False) -> dict[str, Tensor]:
    """The whole weights in the first rank's memory, the other ranks get none; tied weights stay tied."""
    found: dict[str, Tensor] = {}
    seen: dict[int, Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if trained_only and not parameter.requires_grad:
            continue
        if id(parameter) not in seen:
            value = whole(parameter.detach())
            seen[id(parameter)] = value.cpu() if world.first else value[:0]
        found[name] = seen[id(parameter)]
    if not world.first:
        return {}
    persistent = model.state_dict()
    return found | {name: value.cpu() for name, value in model.named_buffers() if name in persistent}


def gathered_optimizer(optimizer: torch.optim.Optimizer, world: World) -> dict[str, Any]:
    """The optimizer's state as one process would have it, in the first rank's memory."""
    state = optimizer.state_dict()
    moments: dict[int, dict[str, Any]] = {}
    for number, values in state["state"].items():
        for name, value in values.items():
            full = whole(value) if isinstance(value, Tensor) else value
            if world.first:
                kept = full.cpu() if isinstance(full, Tensor) else full
                moments.setdefault(number, {})[name] = kept
    return {"state": moments, "param_groups": state["param_groups"]}


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Take the state of one process, of which a rank keeps its shards.

    Raises:
        ToolwiseError: It belongs to other weights.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Any]] = {}
    for number, values in state["state"].items():
        if number >= len(parameters):
            raise ToolwiseError("the optimizer's state has more weights than the model trains")
        target = parameters[number]
        moments[number] = {
            name: sharded_like(target, value)
            if isinstance(value, Tensor) and value.shape == target.shape and value.ndim
            else value
            for name, value in values.items()
        }
    try:
        optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    except ValueError as error:
        raise ToolwiseError(f"the optimizer's state belongs to other weights: {error}") from error


def _empty(dtype: torch.dtype) -> TokenBatch:
    task = Task("empty", ({"role": "user", "content": ""},))
    tree = RolloutTree.demonstration(task, [Turn("assistant", (0, 0))])
    return pack([TokenTree.supervised(tree)], 2, dtype=dtype)[0]


_CPU = torch.device("cpu")
