"""SMART chains of the almanac, written by the world itself: it knows what is within knowledge.

Each chain recalls first, then says why a tool is needed or not (the justification), and then calls or
answers. What a tool gives is not said again: a sentence that the text has, too, calls back what stood there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from toolwise.core import Message, RolloutTree
from toolwise.dialects import Dialect, StepTool
from toolwise.dialects.smart_steps import Step, format_final, format_steps
from toolwise.rollout import demonstration_trees
from toolwise.worlds.almanac.demonstrations import tool_result, weigh_at, weigh_belief
from toolwise.worlds.almanac.questions import KINDS, Question, ask, by_id
from toolwise.worlds.almanac.text import UNKNOWN
from toolwise.worlds.almanac.world import Almanac

INSTRUCTION = "Tools: {tool_names}"
"""All that a model of a million parameters is told; its tokenizer knows few other words."""

CHAIN_TOOLS: Mapping[str, StepTool] = {
    "Code": StepTool("calculator", "expression", fenced=True),
    "Search": StepTool("search", "query"),
    "AskUser": StepTool("ask_user", "question"),
}
"""SMART's tools in the almanac; its only code is arithmetic."""

COPY_WEIGHT = 3.0
"""Supervised weight of a token of a name that is copied, beside 1 of others."""

KNOWN = "This is known."
JUSTIFICATIONS = {
    "unknown person": "This is unknown, look it up.",
    "changed fact": "This is now another, look it up.",
    "long arithmetic": "This is a long one, use the calculator.",
    "own preference": "This is for the user, ask.",
    "two-hop": "This is now another, look it up.",
}
"""Why a tool is needed, by kind of question."""

_STEP_NAMES = {known.tool: name for name, known in CHAIN_TOOLS.items()}
_TITLES = {"Search": "Look up", "Code": "Compute", "AskUser": "Ask"}


def chain(world: Almanac, question: Question, belief: str | None = None) -> list[Step]:
    """The steps of one question up to its final response, tool outputs included.

    Args:
        world: Where the answers come from.
        question: What is asked.
        belief: What the model recalls; None: what the text says, or ``unknown``. A tool is needed where the
            kind needs one, and where a belief turns out to be wrong.
    """
    recalled = (question.belief or UNKNOWN) if belief is None else belief
    known = not KINDS[question.kind].needs_tool and recalled == question.answer
    reason = KNOWN if known else JUSTIFICATIONS.get(question.kind, JUSTIFICATIONS["unknown person"])
    steps = [Step("Recall", f"{question.recall}{recalled}. {reason}")]
    if known:
        return steps
    tool, _, value = question.calls[0]
    name = _STEP_NAMES[tool]
    body = f"```python\n{value}\n```" if CHAIN_TOOLS[name].fenced else value
    steps.append(Step(_TITLES[name], body, name, tool_result(world, question, tool, value)))
    if question.second:
        steps.append(Step("Recall", f"{question.second} {KNOWN}"))
    return steps


def final_response(question: Question) -> str:
    """The final response; the word before the answer keeps its tokens those of a sentence."""
    return f"Answer: {question.answer}"


def chain_messages(steps: Sequence[Step], final: str) -> list[Message]:
    """A chain as turns: the assistant's up to each tool step, that tool's output, and the final response."""
    messages: list[Message] = []
    begun: list[Step] = []
    first = 1
    for step in steps:
        begun.append(Step(step.title, step.body, step.tool))
        if step.tool is None:
            continue
        tool = CHAIN_TOOLS[step.tool]
        messages.append({"role": "assistant", "content": format_steps(begun, first)})
        messages.append({"role": "tool", "name": tool.tool, "content": step.output or ""})
        first, begun = first + len(begun), []
    parts = [format_steps(begun, first)] if begun else []
    return [*messages, {"role": "assistant", "content": "\n\n".join([*parts, format_final(final)])}]


def demonstrate_chains(
    world: Almanac,
    chosen: Sequence[tuple[Question, int]],
    beliefs: Sequence[str],
    specs: Sequence[Mapping[str, Any]],
    dialect: Dialect,
    *,
    decision_weight: float = 1.0,
) -> list[RolloutTree]:
    """One chain for each question, as a tree to imitate.

    A question that comes again is answered as of another day: there what is within knowledge is the same, and
    what is not has turned out otherwise. So what a tool gave has to be copied; it cannot be learnt by heart.

    Args:
        world: Where the answers come from.
        chosen: Questions and their wordings.
        beliefs: What the base model recalls for each, the value only.
        specs: The tools' schemas.
        dialect: SMART's, with `CHAIN_TOOLS`.
        decision_weight: Supervised weight of the first token of the justification, where the decision falls.
    """
    trees = []
    shown: Counter[str] = Counter()
    on_day = cache(world.another_day)
    questions = cache(lambda day, kind: by_id(on_day(day), kind))
    for (asked, wording), belief in zip(chosen, beliefs, strict=True):
        day = shown[asked.id]
        shown[asked.id] += 1
        question = questions(day, asked.kind)[asked.id]
        if question.belief is None:
            belief = UNKNOWN
        task = ask(question, wording)
        steps = chain(on_day(day), question, belief)
        messages = [*task.prompt, *chain_messages(steps, final_response(question))]
        (tree,) = demonstration_trees(task.id, messages, specs, dialect)
        stem, thought = (
            dialect.render_turn({"content": format_steps([Step("Recall", text)])})
            for text in (f"{question.recall.rstrip()}. This is", f"{question.recall}{belief}. This is")
        )
        # That it recalls nothing is the model's own word, and no invention.
        made_up = belief not in (question.belief, UNKNOWN)
        tree = weigh_belief(tree, stem, thought, made_up, decision_weight)
        if question.belief is None:
            # Whether to invent something decides here; what follows only says so.
            tree = weigh_at(tree, stem, decision_weight)
        outputs = [step.output.rpartition(" is ")[2].rstrip(".") for step in steps if step.output]
        trees.append(_weigh_copies(tree, [question.subject, *outputs], dialect))
    return trees


def _weigh_copies(tree: RolloutTree, names: Sequence[str], dialect: Dialect) -> RolloutTree:
    """Weigh the tokens of names that the agent has to copy from the question or from a tool's output."""
    plain = set(dialect.render_turn({"content": "The name of is. Answer:"}))
    named = {
        token
        for name in names
        for token in dialect.render_turn({"content": f"The name of {name} is. Answer: {name}"})
        if token not in plain
    }
    turns = []
    for turn in tree.turns:
        if turn.role == "assistant":
            pairs = zip(turn.token_ids, turn.supervised_weights, strict=True)
            weights = tuple(weight * (COPY_WEIGHT if token in named else 1) for token, weight in pairs)
            turn = replace(turn, weights=weights)
        turns.append(turn)
    return replace(tree, turns=tuple(turns))
