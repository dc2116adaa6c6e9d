"""VLLMControl: one vLLM server, asked how it is and told what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolwise.core import ToolwiseError
from toolwise.sampling.chat_wire import read_error
from toolwise.sampling.http import MAX_REPLY_BYTES, read_body
from toolwise.sampling.vllm_wire import PATH

if TYPE_CHECKING:
    import httpx2

_DEV_MODE = "start it with VLLM_SERVER_DEV_MODE=1 in its environment, and let only the trainer reach it"
_DIAGNOSIS_LIMIT = 30.0
_UPDATE_LIMIT = 600.0


class UnavailableError(Exception):
    """A server does not answer, or cannot answer now; says why."""


class VLLMControl:
    """The requests that one server understands.

    Args:
        url: Its address.
        http: Connections, of the event loop that runs.
        key: Sent as bearer token; empty sends none.
    """

    def __init__(self, url: str, http: httpx2.AsyncClient, key: str = "") -> None:
        self.url, self._http = url, http
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"vLLM server {self.url}"

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        limit: float = _DIAGNOSIS_LIMIT,
    ) -> tuple[int, bytes]:
        """One request: status and body of the answer.

        Raises:
            UnavailableError: There is no answer within `limit` seconds, or no whole one.
            ToolwiseError: The address is none.
        """
        import httpx2

        try:
            async with (
                asyncio.timeout(limit),
                self._http.stream(
                    method, self.url + path, json=body, params=query, headers=self._headers
                ) as response,
            ):
                data = await read_body(response)
        except TimeoutError:
            raise UnavailableError(f"no answer to {path} within {limit:g} s") from None
        except httpx2.InvalidURL as error:
            raise ToolwiseError(
                f"cannot be asked: {error}", where=self.where, mend="check sampler.urls"
            ) from error
        except httpx2.RequestError as error:
            raise UnavailableError(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        if data is None:
            raise UnavailableError(f"the answer to {path} is longer than {MAX_REPLY_BYTES // 2**20} MiB")
        return response.status_code, data

    async def tell(self, path: str, body: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """A request that has to succeed: what its answer holds, None for an empty one.

        Raises:
            UnavailableError: It failed in a way that may pass.
            ToolwiseError: The server does not know it, or refuses.
        """
        method = options.pop("method", "POST")
        status, data = await self.ask(method, path, body, **options)
        if status == 200:
            try:
                return json.loads(data) if data else None
            except (ValueError, RecursionError):
                raise UnavailableError(f"the answer to {path} is not JSON") from None
        self.refuse(status, data, path)
        raise UnavailableError(f"{path}: {said(status, data)}")

    def refuse(self, status: int, data: bytes, path: str) -> None:
        """Raise what no further try would change.

        Raises:
            ToolwiseError: The status says that the request is refused for good.
        """
        if status in (408, 425, 429) or status >= 500:
            return
        mend = f"does the request fit the server's vLLM version? It refused {path}"
        if status in (401, 403):
            mend = "name the environment variable that holds the server's key: sampler.api_key_env"
        if path == PATH and status in (403, 404):
            mend = "start it with --enable-scale-out, and with --served-model-name as sampler.model says"
        elif status in (404, 405):
            mend = _DEV_MODE
        raise ToolwiseError(f"refuses {path}: {said(status, data)}", where=self.where, mend=mend)

    async def healthy(self, limit: float = _DIAGNOSIS_LIMIT) -> None:
        """Return if the server says that it is well.

        Raises:
            UnavailableError: It does not.
        """
        status, data = await self.ask("GET", "/health", limit=limit)
        if status != 200:
            raise UnavailableError(f"/health: {said(status, data)}")

    async def check_model(self, model: str, context: int, probe: tuple[str, list[int]] | None) -> None:
        """Compare the server's model with ours.

        Args:
            model: The name that it should have.
            context: Tokens that it must be able to see at once.
            probe: A text and its tokens; None compares no tokenizer.

        Raises:
            UnavailableError: The server does not answer.
            ToolwiseError: The model is another one, is cut too short, or has another tokenizer.
        """
        answer = await self.tell("/v1/models", method="GET")
        listed = answer.get("data") if isinstance(answer, dict) else None
        cards = {card.get("id"): card for card in listed or () if isinstance(card, dict)}
        if model not in cards:
            raise ToolwiseError(
                f"serves no model '{model}', but {sorted(map(str, cards))}",
                where=self.where,
                mend="set sampler.model, or start the server with --served-model-name",
            )
        longest = cards[model].get("max_model_len")
        if isinstance(longest, int) and longest < context:
            raise ToolwiseError(
                f"sees {longest} tokens at once, and rollouts may have {context}",
                where=self.where,
                mend=f"start it with --max-model-len {context}, or set rollout.limits.max_context={longest}",
            )
        if probe is None:
            return
        text, ours = probe
        answer = await self.tell("/tokenize", {"model": model, "prompt": text, "add_special_tokens": False})
        theirs = answer.get("tokens") if isinstance(answer, dict) else None
        if theirs != ours:
            raise ToolwiseError(
                "has another tokenizer: it reads a text of ours as other tokens",
                where=self.where,
                mend="start it on the checkpoint that is trained",
            )

    async def logprobs_are_processed(self, model: str) -> bool:
        """Whether its log-probabilities are those after temperature and cut, or the model's raw ones.

        It is found out by two samples of one token each, because only servers in development mode tell. Where
        no other token is allowed, a processed log-probability is 0; a raw one is less, for one of two tokens
        at least.
        """
        for token in (1, 2):
            params: dict[str, object] = {"max_tokens": 1, "temperature": 1.0, "seed": 0, "logprobs": 0}
            params |= {"ignore_eos": True, "allowed_token_ids": [token]}
            answer = await self.tell(PATH, {"model": model, "token_ids": [0], "sampling_params": params})
            try:
                found = float(answer["choices"][0]["logprobs"]["content"][0]["logprob"])
            except (KeyError, IndexError, TypeError, ValueError):
                raise UnavailableError(f"the answer to {PATH} holds no log-probability") from None
            if found < -1e-3:
                return False
        return True

    async def weight_version(self) -> str:
        """The label of its weights; ``default`` after a start."""
        answer = await self.tell("/weight_info", method="GET")
        version = answer.get("weight_version") if isinstance(answer, dict) else None
        if not isinstance(version, str):
            raise UnavailableError("the answer to /weight_info names no version")
        return version

    async def set_weight_version(self, version: str) -> None:
        """Label its weights."""
        await self.tell("/update_weight_version", {"new_version": version})

    async def reload_weights(self, folder: str) -> None:
        """Let its workers read the weights of a checkpoint folder."""
        body = {"method": "reload_weights", "kwargs": {"weights_path": folder}}
        await self.tell("/collective_rpc", body, limit=_UPDATE_LIMIT)

    async def pause(self) -> None:
        """End what it does and begin nothing new."""
        await self.tell("/pause", query={"mode": "abort"}, limit=_UPDATE_LIMIT)

    async def resume(self) -> None:
        """Go on after `pause`."""
        await self.tell("/resume")

    async def reset_prefix_cache(self) -> None:
        """Forget the keys and values of earlier weights.

        Raises:
            UnavailableError: They are still in use.
        """
        answer = await self.tell("/reset_prefix_cache")
        if isinstance(answer, dict) and answer.get("success") is False:
            raise UnavailableError("its prefix cache could not be reset")

    async def world_size(self) -> int:
        """How many workers take weights."""
        answer = await self.tell("/get_world_size", method="GET")
        size = answer.get("world_size") if isinstance(answer, dict) else None
        if not isinstance(size, int) or size < 1:
            raise UnavailableError("the answer to /get_world_size names no size")
        return size

    async def sleep(self) -> None:
        """Give the GPU's memory back; the weights wait in the machine's own memory."""
        await self.tell("/sleep", query={"level": 1, "mode": "abort"}, limit=_UPDATE_LIMIT)

    async def wake_up(self) -> None:
        """Take the GPU's memory again."""
        await self.tell("/wake_up", limit=_UPDATE_LIMIT)


def said(status: int, data: bytes) -> str:
    """Status and message of an answer, for people."""
    return f"status {status}: {read_error(data)[0] or 'no reason given'}"
