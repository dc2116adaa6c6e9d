"""Settings of the almanac experiment's stages: pretraining, cold start, reinforcement."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from toolwise.advantages import AdvantageConfig, GAEConfig, GRPOConfig
from toolwise.learning import CriticConfig, LearnerConfig
from toolwise.rollout import CollectorConfig, Limits


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PretrainingConfig(_Config):
    """How the tiny base model reads the almanac's text.

    Attributes:
        passes: How often it reads the text.
        distinct: In how many different forms (order, paragraphs, questions) the text is written.
        batch_size: Documents of one optimizer step, about 30 tokens each.
        learning_rate: Highest learning rate.
    """

    passes: int = Field(default=80, ge=1)
    distinct: int = Field(default=80, ge=1)
    batch_size: int = Field(default=24, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)


class ColdStartConfig(_Config):
    """How tool use is begun by imitation.

    Attributes:
        questions: Demonstrations of each kind of question; a kind that has fewer questions gives several
            demonstrations of each, with the decision to call or to answer drawn anew.
        person_questions: The same for questions about people, whose boundary is the hard one.
        passes: How often each is seen.
        decision_weight: Weight of the token that decides between a call and an answer.
        direct_share: Share of the questions within knowledge that are answered without a call: the
            demonstrator calls too often, as published agents do.
        rehearsal: Documents of the pretraining text that are read again for each demonstration, so that what
            the base model knows outlives the new format.
        batch_size: Demonstrations of one optimizer step, on average.
        learning_rate: Highest learning rate.
    """

    questions: int = Field(default=1500, ge=1)
    person_questions: int = Field(default=2000, ge=1)
    passes: int = Field(default=1, ge=1)
    decision_weight: float = Field(default=5.0, gt=0)
    direct_share: float = Field(default=0.35, ge=0, le=1)
    rehearsal: float = Field(default=1.0, ge=0)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)


class ReinforcementConfig(_Config):
    """How a policy is trained by reinforcement; the same for every reward that is compared.

    Attributes:
        steps: Rounds of collecting and learning.
        learning_rate: Highest learning rate; it falls linearly to 0.
        advantage: Normalised by the group's own standard deviation, as published: where every rollout is
            right, the small saving of a call is all there is to learn from, and is learnt from in full.
        critic: How the critic learns, for an advantage that needs one. Its learning rate falls linearly, too.
        mini_batches: Optimizer steps of each round, of the policy and of the critic.
        rollout: How much is collected, and its limits.
        smoothing: c of OTC, > 0. Published: the largest number of calls a rollout can make; a smaller one
            makes the first call dearer.
    """

    steps: int = Field(default=60, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    advantage: AdvantageConfig = GRPOConfig()
    critic: CriticConfig | None = None
    mini_batches: int = Field(default=1, ge=1)
    rollout: CollectorConfig = CollectorConfig(
        tasks_per_step=32, group_size=8, limits=Limits(max_turns=4, max_turn_tokens=48)
    )
    smoothing: float = Field(default=4.0, gt=0)


def actor_critic() -> ReinforcementConfig:
    """PPO instead of GRPO: as many rollouts, each of a question of its own, and a critic.

    Without a group of the same question, a call's cost stands beside the spread of all rewards, so that it
    has to be dearer to be learnt from: c is the most calls that any question takes, not the most that a
    rollout can make.
    """
    return ReinforcementConfig(
        advantage=GAEConfig(),
        critic=CriticConfig(learner=LearnerConfig(learning_rate=1e-3), head="zero", warmup_steps=5),
        mini_batches=4,
        smoothing=2,
        rollout=CollectorConfig(
            tasks_per_step=256, group_size=1, limits=Limits(max_turns=4, max_turn_tokens=48)
        ),
    )
