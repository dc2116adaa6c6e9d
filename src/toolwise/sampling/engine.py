"""The embedded engine: continuous batching over asyncio on the policy's own weights.

Requests join and leave the batch at any step; there is no turn barrier. A prompt that several waiting
requests share is read once. When a request ends, its keys and values are parked, so that the next turn
of the same rollout reads only what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel

from toolwise.core import ToolwiseError
from toolwise.sampling.cache import PrefixStore, RowCache
from toolwise.sampling.choose import choose_tokens
from toolwise.sampling.sampler import FinishReason, Sample, SamplingParams, room_after

PATIENCE = 8
"""A waiting request joins after at most this many decoding steps."""

MASK_CELLS = 1 << 26
"""Long prompts are read in pieces: the mask of a pass has at most so many cells."""


@dataclass(slots=True)
class _Request:
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    future: asyncio.Future[Sample]
    uniform: np.ndarray
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Tokens whose keys and values are in the cache: all but the newest one."""
        return len(self.prompt_ids) + len(self.token_ids) - 1


class EmbeddedSampler:
    """Sample from a Hugging Face causal language model in this process.

    Args:
        model: The policy; its weights are used as they are at each step, so that after an optimizer
            step only `update_weights` is needed, and nothing is copied.
        max_rows: How many sequences are decoded together.
        parked_tokens: How many tokens of keys and values are kept between turns.
        decode: Token ids to text; needed for stop strings only.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        max_rows: int = 128,
        parked_tokens: int = 1 << 18,
        decode: Callable[[Sequence[int]], str] | None = None,
    ) -> None:
        self.model = model
        self.max_rows = max_rows
        self.context_length = context_length(model.config)
        self._decode = decode
        self._rows = RowCache(model.config, model.dtype, model.device)
        self._store = PrefixStore(parked_tokens)
        self._active: list[_Request] = []
        self._waiting: list[_Request] = []
        self._joining: list[_Request] = []
        self._waited = 0
        self._worker: asyncio.Task[None] | None = None
        self.sampled_tokens = 0
        self.read_tokens = 0

    def update_weights(self, model: PreTrainedModel | None = None) -> None:
        """Take new weights: parked keys and values belong to the old ones and are dropped."""
        if model is not None:
            self.model = model
        self._store.clear()

    def release(self) -> None:
        """Give back the memory of keys and values; to be called when nothing is being sampled."""
        self._store.clear()
        self._rows = RowCache(self.model.config, self.model.dtype, self.model.device)

    async def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> Sample:
        """Sample one completion of a prompt.

        Raises:
            ToolwiseError: If the prompt is empty or leaves no room in the context.
        """
        prompt = tuple(prompt_ids)
        room = room_after(prompt, self.context_length)
        if params.stop and self._decode is None:
            raise ToolwiseError("stop strings need a tokenizer", mend="pass decode= to EmbeddedSampler")
        limit = min(params.max_tokens, room)
        uniform = np.random.Generator(np.random.Philox(params.seed)).random(limit)
        request = _Request(prompt, params, asyncio.get_running_loop().create_future(), uniform)
        self._waiting.append(request)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await request.future

    async def _work(self) -> None:
        try:
            while self._active or self._waiting:
                # Let everybody who is ready hand in their request before a pass is made.
                await asyncio.sleep(0)
                self._drop_cancelled()
                if self._time_to_admit():
                    self._admit()
                elif self._active:
                    self._decode_step()
        except Exception as raised:
            error: Exception = raised
            if isinstance(raised, torch.OutOfMemoryError):
                count = len(self._active) + len(self._joining)
                error = ToolwiseError(
                    f"the accelerator's memory does not hold {count} sequences",
                    where="sampler",
                    mend=f"decode fewer together (sampler.rows, now {self.max_rows}), keep less between "
                    "turns (sampler.parked_tokens), or make rollouts shorter",
                )
            failed = self._active + self._joining + self._waiting
            self._active, self._joining, self._waiting = [], [], []
            for request in failed:
                if not request.future.done():
                    request.future.set_exception(error)

    @torch.inference_mode()
    def _drop_cancelled(self) -> None:
        for row in reversed(range(len(self._active))):
            if self._active[row].future.cancelled():
                self._release(row)
        self._waiting = [request for request in self._waiting if not request.future.cancelled()]

    def _time_to_admit(self) -> bool:
        """Joiners are read together: a pass for each newcomer would cost as much as decoding all."""
        if not self._waiting or len(self._active) >= self.max_rows:
            return False
        self._waited += 1
        return len(self._waiting) * 4 >= len(self._active) or self._waited > PATIENCE

    @torch.inference_mode()
    def _admit(self) -> None:
        self._waited = 0
        joining = self._joining = self._waiting[: self.max_rows - len(self._active)]
        self._waiting = self._waiting[len(joining) :]
        first = len(self._active)
        known = {
            prompt: self._store.longest_prefix(prompt)
            for prompt in dict.fromkeys(request.prompt_ids for request in joining)
        }
        # The longest to read come first: those that still have tokens stay together, piece after piece.
        prompts = sorted(known, key=lambda prompt: known[prompt][0] - len(prompt))
        unique = {prompt: offset for offset, prompt in enumerate(prompts)}
        longest = max(len(request.prompt_ids) + len(request.uniform) for request in joining)
        starts = [known[prompt][0] for prompt in prompts]
        new_tokens = [prompt[start:] for prompt, start in zip(prompts, starts, strict=True)]
        piece = min(len(new_tokens[0]), max(1, MASK_CELLS // (len(prompts) * max(map(len, prompts)))))
        # Padding of shorter prompts is written beyond their end, hence the room of a piece as well.
        self._rows.reserve(first + len(joining), longest + piece)
        for offset, prompt in enumerate(prompts):
            length, parked = known[prompt]
            if parked is not None:
                self._rows.write_row(first + offset, parked, length)
        logits = self._read(first, new_tokens, starts, piece)
        self.read_tokens += sum(map(len, new_tokens))
        self._park_for_latecomers(first, unique)
        # Rows of equal prompts are copies of the one that was read; filling from the back never
        # overwrites a row that is still to be copied, because sources stand before their targets.
        sources = [unique[request.prompt_ids] for request in joining]
        order = sorted(range(len(joining)), key=lambda i: (sources[i], i))
        placed = [joining[i] for i in order]
        for offset in reversed(range(len(placed))):
            source = unique[placed[offset].prompt_ids]
            self._rows.copy_row(first + source, first + offset, len(placed[offset].prompt_ids))
        self._active.extend(placed)
        self._joining = []
        self._take_tokens(first, logits[[unique[request.prompt_ids] for request in placed]])

    def _read(
        self, first: int, prompts: Sequence[Sequence[int]], starts: Sequence[int], piece: int
    ) -> torch.Tensor:
        """Read what is new of each prompt, the longest first, `piece` tokens at a time.

        Returns:
            Logits (n, vocabulary) after each one's last token.
        """
        logits: list[torch.Tensor] = []
        for begin in range(0, len(prompts[0]), piece):
            parts = [prompt[begin : begin + piece] for prompt in prompts if len(prompt) > begin]
            tokens = torch.zeros(len(parts), len(parts[0]), dtype=torch.long)
            for row, part in enumerate(parts):
                tokens[row, : len(part)] = torch.tensor(part)
            hidden = self._hidden(first, tokens, torch.tensor(starts[: len(parts)]) + begin)
            # Those that end in this piece are the last ones of it.
            ending = [row for row in range(len(parts)) if len(prompts[row]) <= begin + piece]
            logits[:0] = self._logits(hidden[ending, [len(parts[row]) - 1 for row in ending]])
        return torch.stack(logits)

    def _park_for_latecomers(self, first: int, unique: dict[tuple[int, ...], int]) -> None:
        """Keep the prompts that others still wait with, so that a group larger than the batch shares one.

        All but the last token, which is read again for its logits.
        """
        for prompt in {request.prompt_ids for request in self._waiting} & unique.keys():
            length = len(prompt) - 1
            if length:
                self._store.park(prompt[:length], self._rows.read_row(first + unique[prompt], length))

    @torch.inference_mode()
    def _decode_step(self) -> None:
        tokens = torch.tensor([[request.token_ids[-1]] for request in self._active])
        starts = torch.tensor([request.read for request in self._active])
        self._take_tokens(0, self._logits(self._hidden(0, tokens, starts)[:, 0]))

    def _hidden(self, first: int, tokens: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Read tokens (n, s) of the rows from `first`; hidden states (n, s, hidden size)."""
        device = self.model.device
        positions = (starts[:, None] + torch.arange(tokens.shape[1])).to(device)
        self._rows.address(first, positions)
        visible = torch.arange(self._rows.width, device=device)[None, None, None]
        mask = visible <= positions[:, None, :, None]
        hidden: torch.Tensor = self.model.get_decoder()(
            input_ids=tokens.to(device),
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._rows,
            use_cache=True,
        ).last_hidden_state
        return hidden

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return output_logits(self.model, hidden).cpu()

    def _take_tokens(self, first: int, logits: torch.Tensor) -> None:
        """Choose a token for each row from `first` on, and release the rows that are done."""
        requests = self._active[first:]
        params = [request.params for request in requests]
        drawn = [request.uniform[len(request.token_ids)] for request in requests]
        tokens, logprobs = choose_tokens(
            logits,
            torch.tensor([p.temperature for p in params]),
            torch.tensor([p.top_p for p in params]),
            torch.tensor([p.top_k for p in params]),
            torch.tensor(np.array(drawn)),
        )
        if not bool(torch.isfinite(logprobs).all()):
            raise ToolwiseError(
                "the model gives no finite probabilities, so nothing can be sampled from it",
                mend="its weights have diverged or are broken: take a checkpoint, lower the learning rate",
            )
        self.sampled_tokens += len(requests)
        finished = []
        for offset, (request, token, logprob) in enumerate(
            zip(requests, tokens.tolist(), logprobs.tolist(), strict=True)
        ):
            request.token_ids.append(token)
            request.logprobs.append(logprob)
            reason = self._finish_reason(request, token)
            if reason is not None:
                finished.append((first + offset, reason))
        for row, reason in reversed(finished):
            self._finish(row, reason)

    def _finish_reason(self, request: _Request, token: int) -> FinishReason | None:
        params = request.params
        if token in params.stop_token_ids:
            return FinishReason.STOP
        if params.stop and self._decode is not None:
            # A stop string ends within the newest token, and a token holds at least one byte, so a tail of
            # as many tokens as it has bytes is enough.
            longest = max(len(stop.encode()) for stop in params.stop)
            tail = self._decode(request.token_ids[-(longest + 1) :])
            if any(stop in tail for stop in params.stop):
                return FinishReason.STOP
        if len(request.token_ids) >= len(request.uniform):
            cut_by_context = len(request.uniform) < params.max_tokens
            return FinishReason.CONTEXT if cut_by_context else FinishReason.LENGTH
        return None

    def _finish(self, row: int, reason: FinishReason) -> None:
        request = self._active[row]
        known = (request.prompt_ids + tuple(request.token_ids))[: request.read]
        self._store.park(known, self._rows.read_row(row, request.read))
        self._release(row)
        if not request.future.done():
            request.future.set_result(Sample(tuple(request.token_ids), tuple(request.logprobs), reason))

    def _release(self, row: int) -> None:
        """Free a row; the last row moves into the gap, so that rows stay dense."""
        last = len(self._active) - 1
        if row != last:
            self._rows.copy_row(last, row, self._active[last].read)
            self._active[row] = self._active[last]
        self._active.pop()


def output_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Logits of hidden states (n, hidden size), with the soft cap of models that have one."""
    logits: torch.Tensor = model.get_output_embeddings()(hidden)
    scaling = getattr(model.config, "logits_scaling", None)
    if scaling:
        logits = logits / scaling
    cap = getattr(model.config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


def context_length(config: PreTrainedConfig) -> int:
    """How many tokens a model of this configuration can see at once.

    A model with sliding-window layers is used up to its window, where full attention is the same.
    """
    text = config.get_text_config()
    length = int(getattr(text, "max_position_embeddings", None) or 1 << 20)
    kinds = getattr(text, "layer_types", None) or []
    window = getattr(text, "sliding_window", None)
    if window and any("sliding" in kind for kind in kinds):
        length = min(length, int(window))
    return length
