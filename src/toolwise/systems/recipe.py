"""Recipe: all that a training run is, as one small typed file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolwise.advantages import (
    AdvantageConfig,
    CustomAdvantageConfig,
    GAEConfig,
    GDPOConfig,
    GRPOConfig,
    PartSource,
    TermsConfig,
)
from toolwise.core.endpoint import ChatConfig
from toolwise.data import TaskFormat
from toolwise.dialects import DialectConfig, HermesConfig
from toolwise.learning import (
    CriticConfig,
    DistributedConfig,
    DPOLossConfig,
    LearnerConfig,
    LoraSettings,
    SinkName,
    SupervisedLossConfig,
)
from toolwise.learning.losses import KLInRewardConfig, PolicyLossConfig, PPOLossConfig
from toolwise.rewards import ExactMatchConfig, RewardConfig
from toolwise.rollout import CollectorConfig
from toolwise.sampling.config import EmbeddedConfig, SamplerConfig, VLLMConfig
from toolwise.tools import ToolConfig


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FreshModel(_Config):
    """A tiny Qwen3-style model from scratch, its tokenizer trained on the run's own data.

    Attributes:
        hidden_size: Width, a multiple of `heads`.
        layers: Number of layers.
        heads: Attention heads.
        vocabulary: Upper bound of the tokenizer's size; 256 bytes are always in it.
        context: Longest sequence, in tokens.
        tags: Texts that are one token each, such as the tags of a dialect.
    """

    hidden_size: int = Field(default=128, ge=16)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    vocabulary: int = Field(default=4096, ge=300)
    context: int = Field(default=2048, ge=16)
    tags: tuple[str, ...] = ("<think>", "</think>", "<tool_call>", "</tool_call>")

    @model_validator(mode="after")
    def _check(self) -> FreshModel:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of 2 x heads ({2 * self.heads})")
        return self


class ModelConfig(_Config):
    """Where the policy comes from: one of the three.

    Attributes:
        source: A folder with a Hugging Face causal language model, a run folder (its newest checkpoint is
            taken), or the id of a model on the hub.
        init: A tiny model from scratch instead.
        lora: Train a small adapter beside the frozen weights of `source`; None trains all weights.
        endpoint: A model behind an OpenAI-compatible endpoint instead; it can be measured, not trained.
    """

    source: str | None = Field(default=None, min_length=1)
    init: FreshModel | None = None
    lora: LoraSettings | None = None
    endpoint: ChatConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        given = [name for name in ("source", "init", "endpoint") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give either '{given[0]}' or '{given[1]}', not both")
        if self.lora is not None and self.init is not None:
            raise ValueError("a model from scratch has nothing to adapt: 'lora' needs a 'source'")
        return self


class DataFile(_Config):
    """A file of tasks or demonstrations.

    Attributes:
        path: ``.jsonl`` or ``.parquet``, seen from the folder in which the command runs.
        format: A published format instead of Toolwise's own.
        limit: Take only so many rows, from the start of the file.
        too_long: What to do with rows that do not fit into the model's context: refuse the run, or leave
            them out; both say which ones.
    """

    path: Path | None = None
    format: TaskFormat | None = None
    limit: int | None = Field(default=None, ge=1)
    too_long: Literal["refuse", "skip"] = "refuse"


class HeldOut(_Config):
    """What is kept back to validate on: nothing by default; a file, or a share of the training rows.

    Attributes:
        path: A file in the format of the training rows.
        share: Share of the training rows that is kept back, in [0, 0.5]; ids decide which.
        limit: Validate on at most so many rows.
    """

    path: Path | None = None
    share: float = Field(default=0.0, ge=0, le=0.5)
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check(self) -> HeldOut:
        if self.path is not None and self.share:
            raise ValueError("give either 'path' or 'share', not both")
        return self


class LearnerSettings(LearnerConfig):
    """See `LearnerConfig`; ``total_steps`` follows from the length of the run.

    Attributes:
        warmup_share: Length of the warm-up as a share of the run, instead of ``warmup_steps``.
    """

    warmup_share: float | None = Field(default=None, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> LearnerSettings:
        if self.warmup_share is not None and self.warmup_steps:
            raise ValueError("give either 'warmup_steps' or 'warmup_share', not both")
        return self

    def settled(self, steps: int) -> LearnerConfig:
        """The learner's configuration for a run of so many optimizer steps."""
        values = self.model_dump(exclude={"warmup_share"})
        values["total_steps"] = self.total_steps or steps
        if self.warmup_share is not None:
            values["warmup_steps"] = round(self.warmup_share * steps)
        return LearnerConfig(**values)


class CriticSettings(CriticConfig):
    """See `CriticConfig`."""

    learner: LearnerSettings = LearnerSettings(learning_rate=1e-5)

    def settled(self, steps: int) -> CriticConfig:
        """The critic's configuration for a run of so many of its optimizer steps."""
        values = self.model_dump(exclude={"learner"})
        return CriticConfig(learner=self.learner.settled(steps), **values)


class SFTTraining(_Config):
    """Length and rhythm of supervised training.

    Attributes:
        epochs: Passes over the demonstrations; either this or `steps`. Without either: 3 epochs.
        steps: Optimizer steps.
        batch_size: Demonstrations of one optimizer step.
        seed: Decides the fresh weights and the order.
        checkpoint_every: Steps from one checkpoint (and validation) to the next.
    """

    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=16, ge=1)
    seed: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _check(self) -> SFTTraining:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give either 'epochs' or 'steps', not both")
        return self


class Overlap(_Config):
    """Sampling and learning at the same time: rollouts come from weights that are one step old.

    Attributes:
        importance_cap: Largest importance weight that corrects for it, > 0.
    """

    importance_cap: float = Field(default=2.0, gt=0)


class RLTraining(_Config):
    """Length and rhythm of reinforcement learning.

    Attributes:
        steps: Rounds of collecting and learning.
        epochs: Passes over the rollouts of a step.
        mini_batches: Optimizer steps of one pass.
        seed: Decides the order of the tasks, what is sampled, and the mini-batches.
        checkpoint_every: Steps from one checkpoint to the next.
        validate_every: Steps from one validation (greedy, one rollout a task) to the next.
        written_trees: Groups of each step that are written to ``rollouts/``.
        overlap: Collect the next step's rollouts while this one is learnt from; None does one after the
            other. It pays where rollouts wait for tools or for a server.
    """

    steps: int = Field(default=100, ge=1)
    epochs: int = Field(default=1, ge=1)
    mini_batches: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=25, ge=1)
    validate_every: int = Field(default=25, ge=1)
    written_trees: int = Field(default=2, ge=0)
    overlap: Overlap | None = None


class _Recipe(_Config):
    """What both stages have.

    Attributes:
        system: Name of the system.
        model: The policy to start from.
        dialect: How turns are written.
        tools: What may be called.
        validation: What is kept back.
        learner: How weights are updated.
        distributed: How the model lies on several processes.
        sinks: Where metrics go besides ``metrics.jsonl``.
    """

    system: str = Field(default="own", min_length=1)
    model: ModelConfig = ModelConfig()
    dialect: DialectConfig = HermesConfig()
    tools: tuple[ToolConfig, ...] = ()
    validation: HeldOut = HeldOut()
    learner: LearnerSettings = LearnerSettings()
    distributed: DistributedConfig = DistributedConfig()
    sinks: tuple[SinkName, ...] = ()


class SFTRecipe(_Recipe):
    """Supervised fine-tuning on demonstrations.

    Attributes:
        stage: ``sft``.
        demonstrations: What is imitated.
        loss: Weighted negative log-likelihood.
        training: Length and rhythm.
    """

    stage: Literal["sft"] = "sft"
    demonstrations: DataFile = DataFile()
    loss: SupervisedLossConfig = SupervisedLossConfig()
    training: SFTTraining = SFTTraining()


class DPORecipe(_Recipe):
    """Direct preference optimisation; the reference is the model as the run finds it at its start.

    Attributes:
        stage: ``dpo``.
        preferences: Pairs of a chosen and a rejected answer.
        loss: β, and the label smoothing.
        training: Length and rhythm.
    """

    stage: Literal["dpo"] = "dpo"
    preferences: DataFile = DataFile()
    loss: DPOLossConfig = DPOLossConfig()
    training: SFTTraining = SFTTraining()


class RLRecipe(_Recipe):
    """Reinforcement learning on tasks.

    Attributes:
        stage: ``rl``.
        tasks: What is tried.
        rollout: How much is collected in a step, how it is sampled and what ends a rollout.
        sampler: Which engine samples: the one in this process, or vLLM servers.
        reward: What a rollout is worth.
        kl_in_reward: A KL penalty inside the reward of each token.
        advantage: From rewards to the pull on each token.
        critic: For ``advantage.type: gae``, which needs one; no other packaged advantage has use for it.
        loss: Policy loss; a KL coefficient above 0, here or in `kl_in_reward`, keeps a frozen copy of the
            first policy as reference; with an adapter, the policy without it is the reference.
        training: Length and rhythm.
    """

    stage: Literal["rl"] = "rl"
    tasks: DataFile = DataFile()
    rollout: CollectorConfig = CollectorConfig()
    sampler: SamplerConfig = EmbeddedConfig()
    reward: RewardConfig = ExactMatchConfig()
    kl_in_reward: KLInRewardConfig = KLInRewardConfig()
    advantage: AdvantageConfig = GRPOConfig()
    critic: CriticSettings | None = None
    loss: PolicyLossConfig = PPOLossConfig()
    training: RLTraining = RLTraining()

    @model_validator(mode="after")
    def _fits_together(self) -> RLRecipe:
        needed, critic = isinstance(self.advantage, GAEConfig), self.critic
        # What an estimator of the user's own needs is asked for when it is made.
        if not isinstance(self.advantage, CustomAdvantageConfig) and needed != (critic is not None):
            raise ValueError(
                "advantage.type 'gae' needs a critic: add 'critic: {}' (--set critic={})"
                if needed
                else f"advantage.type {self.advantage.type!r} has no use for a critic: --set critic=null"
            )
        if critic is not None and critic.warmup_steps >= self.training.steps:
            raise ValueError(
                f"critic.warmup_steps is {critic.warmup_steps}: none of {self.training.steps} steps is left"
            )
        if critic is not None and self.model.lora is not None:
            raise ValueError("a critic beside an adapter is not there yet: --set model.lora=null, or grpo")
        sampler = self.sampler
        if isinstance(sampler, VLLMConfig) and sampler.weights == "nccl" and self.model.lora is not None:
            raise ValueError("nccl sends whole models: with model.lora take sampler.weights=checkpoint")
        if self.kl_in_reward.coefficient and not _sees_penalties(self.advantage):
            raise ValueError(
                f"advantage.type {self.advantage.type!r} looks at parts or marked tokens and does not see "
                "kl_in_reward: use loss.kl instead"
            )
        return self


def _sees_penalties(advantage: AdvantageConfig) -> bool:
    """Whether what is taken from totals, turns and tokens reaches the estimator."""
    if isinstance(advantage, GDPOConfig):
        return False
    terms = advantage.terms if isinstance(advantage, TermsConfig) else ()
    return not any(isinstance(term.source, PartSource) or term.spread == "mask" for term in terms)


Recipe = SFTRecipe | DPORecipe | RLRecipe
"""A training run; ``stage`` chooses."""
