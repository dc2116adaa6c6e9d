"""SamplerConfig: which engine samples, as a recipe says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EmbeddedConfig(_Config):
    """The engine in this process, on the policy's own weights."""

    type: Literal["embedded"] = "embedded"


class VLLMStart(_Config):
    """vLLM servers that the run starts itself, on loopback, and stops when it ends.

    Attributes:
        python: Interpreter of the environment in which vLLM is installed; None: the one that runs.
        servers: How many are started.
        port: Of the first one, the others follow; 0 takes free ones.
        dtype: What the server computes in.
        eager: Without compiled graphs: a faster start, slower sampling.
        memory_share: Share of the GPU's memory that the server takes, the rest is the learner's; None leaves
            it to vLLM.
        sleep: Put the server to sleep while the learner works, so that both may have the whole GPU.
        devices: Value of ``CUDA_VISIBLE_DEVICES`` for each server; empty leaves it as it is.
        arguments: Further command line arguments of vLLM.
        environment: Further environment variables.
        startup: Seconds that a start may take.
    """

    python: Path | None = None
    servers: int = Field(default=1, ge=1, le=64)
    port: int = Field(default=0, ge=0, le=65535)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    eager: bool = False
    memory_share: float | None = Field(default=None, gt=0, lt=1)
    sleep: bool = False
    devices: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    startup: float = Field(default=600.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> VLLMStart:
        if self.devices and len(self.devices) != self.servers:
            raise ValueError(f"devices names {len(self.devices)} and servers is {self.servers}")
        return self


class VLLMConfig(_Config):
    """One or many vLLM servers (0.32 or newer): `urls` of running ones, or `start`.

    Attributes:
        type: ``vllm``.
        urls: Addresses such as ``http://127.0.0.1:8000``.
        start: Starts them instead.
        model: The name under which the servers know the model (``--served-model-name``).
        api_key_env: Name of the environment variable that holds the servers' key; None sends none.
        concurrency: Most requests under way at one server.
        timeout: Seconds after which a request is given up and sent again, elsewhere if there is an elsewhere.
        retries: How often one request is sent again.
        patience: Seconds that are waited for a server while none answers.
        weights: How new weights get to the servers: ``checkpoint``, a folder that they read, or ``nccl``,
            from GPU to GPU.
        folder: Where that folder is made; the servers must see it under the same path. None: in the run's
            own folder.
        trainer_host: With ``nccl``: the address of this machine, as the servers see it.
    """

    type: Literal["vllm"]
    urls: tuple[str, ...] = ()
    start: VLLMStart | None = None
    model: str = Field(default="policy", min_length=1)
    api_key_env: str | None = None
    concurrency: int = Field(default=128, ge=1, le=4096)
    timeout: float = Field(default=300.0, gt=0)
    retries: int = Field(default=5, ge=0, le=20)
    patience: float = Field(default=600.0, ge=0)
    weights: Literal["checkpoint", "nccl"] = "checkpoint"
    folder: Path | None = None
    trainer_host: str = Field(default="127.0.0.1", min_length=1)

    @field_validator("urls")
    @classmethod
    def _are_plain(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # No message repeats the value: a key may stand in it.
        for url in value:
            try:
                parts = urlsplit(url)
                host, _ = parts.hostname, parts.port
            except ValueError as error:
                raise ValueError("holds no URL, write for instance http://127.0.0.1:8000") from error
            if parts.scheme not in ("http", "https") or not host or any(map(str.isspace, url)):
                raise ValueError("holds no http(s) URL, write for instance http://127.0.0.1:8000")
            if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
                raise ValueError("must hold no user, password, query or fragment; see 'api_key_env'")
            if parts.path.rstrip("/").endswith("/v1"):
                raise ValueError("must end before /v1: Toolwise asks other paths of the server as well")
        plain = tuple(url.rstrip("/") for url in value)
        if len(set(plain)) != len(plain):
            raise ValueError("names a server twice")
        return plain

    @field_validator("api_key_env")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("takes the name of an environment variable, not the key itself")
        return value

    @model_validator(mode="after")
    def _check(self) -> VLLMConfig:
        if bool(self.urls) == (self.start is not None):
            raise ValueError("give either 'urls' of running servers or 'start'")
        beside = self.start is not None and (self.start.sleep or self.start.memory_share is not None)
        if self.weights == "nccl" and beside:
            raise ValueError("nccl joins different GPUs: a server beside the learner takes 'checkpoint'")
        return self


SamplerConfig = Annotated[EmbeddedConfig | VLLMConfig, Field(discriminator="type")]
"""Which engine samples; ``type`` chooses."""
