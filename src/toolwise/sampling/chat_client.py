"""EndpointChat: a chat model behind an OpenAI-compatible endpoint, asked politely and paid once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from toolwise.core import Message, ToolwiseError
from toolwise.core.endpoint import ChatConfig
from toolwise.sampling.chat import ChatParams, ChatReply, ChatUnavailableError, ContextLengthError
from toolwise.sampling.chat_cache import ChatCache, cache_key
from toolwise.sampling.chat_limits import (
    LONGEST_WAIT,
    Pace,
    Spending,
    backoff_delay,
    jitter,
    read_retry_after,
)
from toolwise.sampling.chat_wire import read_error, read_reply, request_body
from toolwise.sampling.http import MAX_REPLY_BYTES, open_client, read_body, read_key

if TYPE_CHECKING:
    import httpx2

_DEFAULTS = ChatParams()
_SHORTEST_SECRET = 8
"""Keys shorter than this are placeholders (servers of one's own take any); hiding them would eat words."""


class EndpointChat:
    """Asks an endpoint, within its limits; a `ChatModel`.

    It is used from asyncio code, in any number of event loops one after the other: connections and the cache
    are opened in a loop when they are needed, and closed by `aclose`, by leaving ``async with``, or at the
    latest when ``asyncio.run`` ends.

    Args:
        config: Which endpoint, and the limits.

    Attributes:
        config: As given.
        spending: What was spent so far.

    Raises:
        ToolwiseError: The environment variable that should hold the key is not set.
    """

    def __init__(self, config: ChatConfig) -> None:
        self.config = config
        self.spending = Spending(config.budget)
        self._key = read_key(config.api_key_env)
        self._pace = Pace(config.requests_per_minute)
        self._link: _Link | None = None

    async def chat(self, messages: Sequence[Message], params: ChatParams = _DEFAULTS) -> ChatReply:
        """The reply to OpenAI-style messages.

        Raises:
            ChatUnavailableError: The server did not answer, however often it was asked.
            ChatBudgetError: What may be spent is spent.
            ContextLengthError: The conversation is too long for the model.
            ToolwiseError: The server refuses the request for good, or the cache cannot be used.
        """
        config, link = self.config, await self._linked()
        body = request_body(config, messages, params)
        key = cache_key(config.base_url, body, params.seed)
        if link.cache is not None and (found := link.cache.read(key)) is not None:
            self.spending.cached += 1
            return found
        async with link.slots:
            reply = await self._ask(link.http, body)
            if link.cache is not None and not link.closed:
                link.cache.write(key, config.model, reply)
        self.spending.settle(reply, config.where)
        return reply

    async def aclose(self) -> None:
        """Close connections and the cache; asking again opens them again."""
        link, self._link = self._link, None
        if link is not None and link.loop is asyncio.get_running_loop():
            await link.guard.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    async def _linked(self) -> _Link:
        loop = asyncio.get_running_loop()
        if self._link is None or self._link.loop is not loop or self._link.closed:
            link = _Link(self.config, loop)
            self._link = link
            await anext(link.guard)
        return self._link

    async def _ask(self, http: httpx2.AsyncClient, body: dict[str, Any]) -> ChatReply:
        config = self.config
        payload = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        trouble = _Trouble("")
        for attempt in range(config.retries + 1):
            if attempt:
                await asyncio.sleep(backoff_delay(attempt - 1, config.backoff, trouble.wait, jitter()))
            await asyncio.sleep(self._pace.delay())
            self.spending.begin(config.where)
            outcome = await self._send(http, payload)
            if isinstance(outcome, ChatReply):
                return outcome
            trouble = outcome
            if trouble.wait is not None and trouble.wait > LONGEST_WAIT:
                raise ChatUnavailableError(
                    f"{trouble.problem}; the server asks to wait {trouble.wait:,.0f} s",
                    where=config.where,
                    mend="run it again then; with 'cache' set, it goes on where it stopped",
                )
        raise ChatUnavailableError(
            f"gave no usable reply in {config.retries + 1} tries, the last time: {trouble.problem}",
            where=config.where,
            mend="is the server up? With 'cache' set, a new run goes on where this one stopped",
        )

    async def _send(self, http: httpx2.AsyncClient, payload: bytes) -> ChatReply | _Trouble:
        """One try: a reply, or trouble that may pass. What will not pass is raised."""
        import httpx2

        url = f"{self.config.base_url}/chat/completions"
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            async with (
                asyncio.timeout(self.config.timeout),
                http.stream("POST", url, content=payload, headers=headers) as response,
            ):
                data = await read_body(response)
        except TimeoutError:
            return _Trouble(f"no answer within {self.config.timeout:g} s")
        except httpx2.InvalidURL as error:
            raise ToolwiseError(
                f"cannot be asked: {error}", where=self.config.where, mend="check base_url"
            ) from error
        except httpx2.RequestError as error:
            return _Trouble(self._hidden(f"{type(error).__name__}: {error}".rstrip(": ")))
        if data is None:
            return _Trouble(f"the answer is longer than {MAX_REPLY_BYTES // 2**20} MiB")
        if self._key and len(self._key) >= _SHORTEST_SECRET:
            # Whatever a server repeats, the key gets into no reply, no cache and no message.
            data = data.replace(self._key.encode(), b"***")
        wait = read_retry_after(response.headers.get("Retry-After"))
        return self._understood(response.status_code, data, wait)

    def _understood(self, status: int, data: bytes, wait: float | None) -> ChatReply | _Trouble:
        problem = ""
        if status == 200:
            try:
                return read_reply(data)
            except ValueError as error:
                problem = str(error)
        detail, code = read_error(data)
        if status == 200:
            # Some proxies hand on an error of the model's own server with status 200.
            status = int(code) if code.isdigit() and len(code) == 3 else status
            problem = problem if status == 200 else f"error {code}: {detail}"
            return self._failed(status, problem, code, wait) if status != 200 else _Trouble(problem)
        return self._failed(status, f"status {status}: {detail or 'no reason given'}", code, wait)

    def _failed(self, status: int, problem: str, code: str, wait: float | None) -> _Trouble:
        if status in (400, 413, 422) and _is_too_long(code, problem):
            raise ContextLengthError(
                f"the conversation is too long for the model: {problem}",
                where=self.config.where,
                mend="shorten the prompt or the tools' results, or take a model with a longer context",
            )
        if (status in (408, 425, 429) or status >= 500) and code != "insufficient_quota":
            return _Trouble(problem, wait)
        raise ToolwiseError(f"refuses: {problem}", where=self.config.where, mend=self._mend(status, code))

    def _mend(self, status: int, code: str) -> str:
        variable = self.config.api_key_env
        if status in (401, 403):
            if variable is None:
                return "name the environment variable that holds the key: api_key_env"
            return f"does the environment variable {variable} hold the right key?"
        if status == 404:
            return "does the server know this model, and has base_url the right path (often /v1)?"
        if code == "insufficient_quota" or status == 402:
            return "the account has nothing left"
        return "a key that the server does not take is left out by 'extra', for instance extra: {seed: null}"

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_SECRET else text


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What may pass: the problem, and how long the server asks to wait."""

    problem: str
    wait: float | None = None


class _Link:
    """What belongs to one event loop: connections, the cache, and who may ask now.

    ``guard`` is an async generator because an event loop closes those that are still open when it ends.
    """

    def __init__(self, config: ChatConfig, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.closed = loop, False
        self.slots = asyncio.Semaphore(config.concurrency)
        self.cache = ChatCache(config.cache) if config.cache is not None else None
        self.http = open_client(config.base_url, config.concurrency)
        self.guard = self._guarded()

    async def _guarded(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.closed = True
            if self.cache is not None:
                self.cache.close()
            await self.http.aclose()


def _is_too_long(code: str, problem: str) -> bool:
    text = problem.lower()
    return code == "context_length_exceeded" or any(
        words in text for words in ("context length", "context window", "context size", "too many tokens")
    )
