"""SamplerConfig: which engine samples, as a recipe says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from toolwise.core.endpoint import KeyVariable, plain_address


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EmbeddedConfig(_Config):
    """The engine in this process, on the policy's own weights.

    Attributes:
        type: ``embedded``.
        rows: Most sequences that are decoded together; their keys and values are what memory goes into.
        parked_tokens: How many tokens of keys and values are kept between turns.
    """

    type: Literal["embedded"] = "embedded"
    rows: int = Field(default=128, ge=1)
    parked_tokens: int = Field(default=1 << 18, ge=0)


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
    api_key_env: KeyVariable | None = None
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
        why = "since other paths of the server are asked as well"
        plain = tuple(plain_address(url, "http://127.0.0.1:8000", "/v1", why) for url in value)
        if len(set(plain)) != len(plain):
            raise ValueError("names a server twice")
        return plain

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
