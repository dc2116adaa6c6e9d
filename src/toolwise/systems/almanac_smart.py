"""SMART in the almanac: an agent that imitates the world's own chains, and the base answering from memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from toolwise.core import RolloutTree
from toolwise.dialects import Dialect, SmartDialect
from toolwise.evaluation import Outcome
from toolwise.rewards.text import exact_match
from toolwise.rollout import Limits
from toolwise.systems.almanac import Agent
from toolwise.systems.almanac_settings import ColdStartConfig
from toolwise.worlds.almanac import KINDS, TOOLS, Question
from toolwise.worlds.almanac.agent import almanac_toolbox, recall
from toolwise.worlds.almanac.chains import CHAIN_TOOLS, INSTRUCTION, demonstrate_chains
from toolwise.worlds.almanac.questions import ask


@dataclass(frozen=True)
class SmartAgent(Agent):
    """A policy that writes SMART's steps."""

    limits: ClassVar[Limits] = Limits(max_turns=4, max_turn_tokens=120)

    @property
    def dialect(self) -> Dialect:
        """See `Agent`."""
        return SmartDialect(self.tokenizer, instruction=INSTRUCTION, tools=CHAIN_TOOLS)

    def demonstrate(
        self,
        chosen: Sequence[tuple[Question, int]],
        beliefs: Sequence[str],
        config: ColdStartConfig,
        seed: int,
    ) -> list[RolloutTree]:
        """What it imitates: the chains of the world, in which a tool is called where knowledge ends."""
        specs = almanac_toolbox(self.world).specs(TOOLS)
        return demonstrate_chains(
            self.world, chosen, beliefs, specs, self.dialect, decision_weight=config.decision_weight
        )


def from_memory(base: Agent, questions: Sequence[tuple[Question, int]]) -> list[Outcome]:
    """The base model without tools: what it recalls is its answer (SMART's reasoning baseline)."""
    base.model.eval()
    believed = recall([question for question, _ in questions], base.sampler(), base.tokenizer)
    outcomes = []
    for (question, wording), belief in zip(questions, believed, strict=True):
        kind = KINDS[question.kind]
        outcomes.append(
            Outcome(
                task_id=ask(question, wording).id,
                domain=kind.domain,
                kind=question.kind,
                level=kind.level,
                needs_tool=kind.needs_tool,
                correct=exact_match(belief, [question.answer]),
                calls=0,
                stop="answered",
            )
        )
    return outcomes
