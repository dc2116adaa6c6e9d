"""ChatConfig: which OpenAI-compatible endpoint is asked, how fast, and for how much.

It stands in `core` because tools (a user played by a model) and recipes (a model under test) name endpoints,
too; what asks them is in `toolwise.sampling`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

_OWN_KEYS = {"messages", "model", "n", "stream", "tools"}


def plain_address(url: str, example: str, ending: str, why: str) -> str:
    """A server's address without credentials, and without a slash at its end.

    No message repeats the address: a key may stand in it.

    Args:
        url: As it was given.
        example: One that would do.
        ending: What the path must not end with.
        why: Says so.

    Raises:
        ValueError: It is none.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is no URL, write for instance {example}") from error
    if parts.scheme not in ("http", "https") or not host or any(map(str.isspace, url)):
        raise ValueError(f"is no http(s) URL, write for instance {example}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must hold no user, password, query or fragment; name a key by 'api_key_env'")
    if parts.path.rstrip("/").endswith(ending):
        raise ValueError(f"must end before {ending}, {why}")
    return url.rstrip("/")


def _names_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("takes the name of an environment variable, not the key itself")
    return value


KeyVariable = Annotated[str, AfterValidator(_names_variable)]
"""The name of the environment variable that holds a key."""


class ChatBudget(BaseModel):
    """What may be spent in one run; nothing is limited by default. Replies from the cache cost nothing.

    Requests under way when a limit is reached are waited for, so up to ``concurrency`` replies may go beyond
    a limit of tokens or cost.

    Attributes:
        requests: Requests sent, tries again included.
        tokens: Tokens read and written, as the server counts them.
        cost: In the currency of the prices.
        input_price: Of a million tokens read.
        output_price: Of a million tokens written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    requests: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _priced(self) -> ChatBudget:
        if self.cost is not None and (self.input_price is None or self.output_price is None):
            raise ValueError("'cost' needs 'input_price' and 'output_price', each for a million tokens")
        return self


class ChatConfig(BaseModel):
    """An OpenAI-compatible endpoint: a provider, or a server of one's own (vLLM, llama.cpp, Ollama …).

    Attributes:
        base_url: What stands before ``/chat/completions``; most servers end it in ``/v1``.
        model: Name of the model, as the server knows it.
        api_key_env: Name of the environment variable that holds the key; None sends no key. The key itself
            stands in no configuration and is written nowhere.
        concurrency: Most requests under way at once.
        timeout: Seconds after which a request is given up and tried again.
        retries: How often a request is tried again after 429, 5xx, a timeout, a cut connection or a reply
            that cannot be read.
        backoff: Seconds before the first new try; doubled with each one, up to a minute, with jitter. A
            longer ``Retry-After`` of the server is honoured.
        requests_per_minute: Requests are spaced to keep this rate; None does not.
        budget: What may be spent.
        cache: SQLite file of replies; the same request is then never paid twice. None keeps nothing.
        token_limit_key: What the server calls the limit of a reply's length.
        extra: Sent with every request, for instance ``{reasoning_effort: low}``; null leaves a key out that
            is sent otherwise (``seed``, ``temperature`` …).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base_url: str
    model: str = Field(min_length=1)
    api_key_env: KeyVariable | None = None
    concurrency: int = Field(default=8, ge=1, le=1024)
    timeout: float = Field(default=120.0, gt=0)
    retries: int = Field(default=5, ge=0, le=20)
    backoff: float = Field(default=1.0, ge=0, le=60)
    requests_per_minute: float | None = Field(default=None, gt=0)
    budget: ChatBudget = ChatBudget()
    cache: Path | None = None
    token_limit_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: dict[str, JsonValue] = {}

    @field_validator("base_url")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        return plain_address(value, "http://127.0.0.1:8000/v1", "/chat/completions", "which is added")

    @field_validator("extra")
    @classmethod
    def _is_extra(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if own := sorted(_OWN_KEYS & value.keys()):
            raise ValueError(f"cannot set {', '.join(own)}: Toolwise does")
        return value

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"endpoint {self.base_url}, model '{self.model}'"
