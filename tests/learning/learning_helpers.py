from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from toolwise.core import RolloutEnd, RolloutTree, StopReason, Task, Turn

VOCABULARY = 37


def tiny_model(kind: str = "qwen3", seed: int = 0, dtype: torch.dtype = torch.float32, **changes):
    torch.manual_seed(seed)
    settings = dict(  # noqa: C408
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=0,
    )
    if kind == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**(settings | {"head_dim": 8} | changes)))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**(settings | changes)))
    # The default initialisation gives nearly uniform probabilities, on which errors would not show.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(12.0)
    model = model.to(dtype)
    return exact_norms(model) if dtype == torch.float64 else model


def exact_norms(model):
    """The model without transformers' RMSNorm, whose way through float32 would hide errors below 1e-7."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__.endswith("RMSNorm"):
                weight = child.weight
                exact = torch.nn.RMSNorm(len(weight), eps=child.variance_epsilon, dtype=weight.dtype)
                exact.weight = weight
                setattr(module, name, exact)
    return model


def random_tree(
    rng: np.random.Generator, name: str = "task", turns: int | None = None, longest: int = 5
) -> RolloutTree:
    """A tree of any shape: turns in random order, empty ones too, ends at leaves and sometimes within."""
    count = int(rng.integers(1, 9)) if turns is None else turns
    made, parents = [], []
    for index in range(count + 1):
        parent = -1 if index == 0 else int(rng.integers(0, index))
        length = int(rng.integers(1, longest + 1)) if index == 0 else int(rng.integers(0, longest + 1))
        tokens = tuple(int(token) for token in rng.integers(1, VOCABULARY, length))
        sampled = bool(index > 0 and rng.random() < 0.7)
        logprobs = tuple(float(value) for value in rng.normal(-3.0, 0.6, length)) if sampled else ()
        role = "prompt" if index == 0 else "assistant" if sampled else "tool"
        made.append(Turn(role, tokens, sampled=sampled, logprobs=logprobs))
        parents.append(parent)
    leaves = [node for node in range(count + 1) if node not in parents]
    extra = [node for node in range(count + 1) if node in parents and rng.random() < 0.2]
    ends = [
        RolloutEnd(leaf, number, name, StopReason.ANSWERED)
        for number, leaf in enumerate(rng.permutation(leaves + extra).tolist())
    ]
    task = Task(name, ({"role": "user", "content": "?"},))
    return RolloutTree(task, tuple(made), tuple(parents), tuple(ends))


def random_advantages(rng: np.random.Generator, tree: RolloutTree) -> list[np.ndarray]:
    return [rng.normal(size=len(rollout.token_ids)) for rollout in tree.rollouts()]


def padded(
    trees: Sequence[RolloutTree], advantages: Sequence[Sequence[np.ndarray]], supervised: bool = False
):
    """The plain way: every rollout a row of its own, padded, nothing shared."""
    rows = [rollout for tree in trees for rollout in tree.rollouts()]
    gains = [gain for tree in advantages for gain in tree]
    longest = max(len(row.token_ids) for row in rows)
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    seen, mask, old, advantage = (np.zeros((len(rows), longest)) for _ in range(4))
    for at, (row, gain) in enumerate(zip(rows, gains, strict=True)):
        length = len(row.token_ids)
        ids[at, :length], seen[at, :length], advantage[at, :length] = row.token_ids, 1, gain
        place = 0
        for turn in row.turns:
            here = slice(place, place + len(turn.token_ids))
            place += len(turn.token_ids)
            mask[at, here] = turn.supervised_weights if supervised else float(turn.sampled)
            if turn.sampled:
                old[at, here] = turn.logprobs
    mask[:, 0] = 0  # nothing predicts the first token
    return tuple(torch.from_numpy(array) for array in (ids, seen, mask, old, advantage))


def padded_logprobs(model, ids: torch.Tensor, seen: torch.Tensor, temperature: float = 1.0):
    logits = model(input_ids=ids, attention_mask=seen.long()).logits[:, :-1] / temperature
    table = logits.log_softmax(-1)
    found = table.gather(-1, ids[:, 1:, None])[..., 0]
    entropy = -(table.exp() * table).sum(-1)
    first = found.new_zeros(len(ids), 1)
    return torch.cat([first, found], 1), torch.cat([first, entropy], 1)
