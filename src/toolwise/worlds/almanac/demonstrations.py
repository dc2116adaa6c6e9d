"""Demonstrations of tool use for the cold start: recall first, then decide; mostly, too often, call.

What a demonstration recalls is what the base model itself believes, sampled from it. Those tokens are not
trained on where the text never stated the fact: imitating a made-up belief would teach the model to invent.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolwise.core import Message, RolloutTree, seed_for
from toolwise.dialects import Dialect
from toolwise.rollout import demonstration_trees
from toolwise.worlds.almanac.questions import KINDS, Question, ask
from toolwise.worlds.almanac.world import Almanac, statement


def demonstrate(
    world: Almanac,
    chosen: Sequence[tuple[Question, int]],
    beliefs: Sequence[str],
    specs: Sequence[Mapping[str, Any]],
    dialect: Dialect,
    *,
    direct_share: float,
    decision_weight: float = 1.0,
    seed: int = 0,
) -> list[RolloutTree]:
    """Write one demonstration for each question.

    Args:
        world: Where the answers come from.
        chosen: Questions and their wordings; the decisions of one that comes again are drawn anew.
        beliefs: What the base model recalls for each, the value only.
        specs: The tools' schemas.
        dialect: How turns are written.
        direct_share: Share of the questions within knowledge that are answered without a call, in [0, 1].
        decision_weight: Supervised weight of the first token after the first thought, where call or answer
            is decided (key tokens: TL-Training, arXiv 2412.15495).
        seed: Decides which ones are answered directly.
    """
    trees = []
    shown: Counter[str] = Counter()
    for (question, wording), belief in zip(chosen, beliefs, strict=True):
        task = ask(question, wording)
        rng = random.Random(seed_for("demonstration", seed, task.id, shown[task.id]))
        shown[task.id] += 1
        # A needless call is demonstrated where the answer is known: that is the overuse to be unlearnt.
        needless = rng.random() >= direct_share
        kind = KINDS[question.kind]
        known = not kind.needs_tool and belief == question.answer
        calls = question.calls[: (1 if not known or needless else 0)]
        if question.second and needless:
            calls = question.calls
        messages = [*task.prompt, *_turns(world, question, belief, calls)]
        (tree,) = demonstration_trees(task.id, messages, specs, dialect)
        stem, thought = (
            dialect.render_turn({"content": "", "reasoning_content": text})
            for text in (f"{question.recall.rstrip()}.", f"{question.recall}{belief}.")
        )
        trees.append(weigh_belief(tree, stem, thought, belief != question.belief, decision_weight))
    return trees


def _turns(
    world: Almanac, question: Question, belief: str, calls: Sequence[tuple[str, str, str]]
) -> list[Message]:
    thought = f"{question.recall}{belief}."
    turns: list[Message] = []
    for tool, name, value in calls:
        call = {"type": "function", "function": {"name": tool, "arguments": {name: value}}}
        turns.append({"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [call]})
        turns.append({"role": "tool", "name": tool, "content": tool_result(world, question, tool, value)})
        thought = question.second
    final: dict[str, Any] = {"role": "assistant", "content": f"Answer: {question.answer}"}
    if thought:
        final["reasoning_content"] = thought
    return [*turns, final]


def tool_result(world: Almanac, question: Question, tool: str, value: str) -> str:
    """What a tool gives for the call that a perfect agent makes."""
    if tool != "search":
        return question.answer
    relation, _, subject = value.partition(" of ")
    plain = subject.removeprefix("the ")
    return f"1. {statement(relation, plain, world.current[relation, plain])}"


def weigh_belief(
    tree: RolloutTree, stem: Sequence[int], thought: Sequence[int], made_up: bool, decision_weight: float
) -> RolloutTree:
    """Weigh the decision of the first turn, and take a made-up belief out of the supervised loss.

    Args:
        tree: A demonstration whose first turn recalls something.
        stem: Tokens of such a turn that recalls no value.
        thought: Tokens of one that recalls this value and ends where the decision falls.
        made_up: Whether the text never stated the value.
        decision_weight: Weight of the first token that is no longer in `thought`.
    """
    tree = weigh_at(tree, thought, decision_weight)
    if not made_up:
        return tree
    turn = tree.turns[1]
    start = _common(stem, turn.token_ids)
    stop = start + len(thought) - len(stem)
    weights = list(turn.weights)
    weights[start:stop] = [0.0] * (stop - start)
    return _weighed(tree, weights)


def weigh_at(tree: RolloutTree, before: Sequence[int], weight: float) -> RolloutTree:
    """Give a supervised weight to the first token of the first turn that is no longer in `before`."""
    turn = tree.turns[1]
    weights = list(turn.supervised_weights)
    weights[_common(before, turn.token_ids)] = weight
    return _weighed(tree, weights)


def _weighed(tree: RolloutTree, weights: Sequence[float]) -> RolloutTree:
    """The same with other weights in its first turn after the prompt."""
    prompt, turn, *others = tree.turns
    return replace(tree, turns=(prompt, replace(turn, weights=tuple(weights)), *others))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common prefix."""
    for place, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return place
    return min(len(left), len(right))
