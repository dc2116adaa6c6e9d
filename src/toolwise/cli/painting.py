"""Rollouts and token masks in colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from toolwise.core import Reward, Rollout, Turn

STYLES = {"prompt": "dim", "assistant": "cyan", "tool": "yellow"}


def plain_lines(console: Console) -> Callable[[str], None]:
    """What prints a line as it is: brackets in names of files and tasks are no markup."""
    return lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)


def paint_rollout(console: Console, rollout: Rollout, reward: Reward | None = None) -> None:
    """The turns of a rollout, one after the other, and how it ended."""
    for turn in rollout.turns:
        _paint_turn(console, turn)
    ending = Text(f"■ {rollout.stop}", style="green" if rollout.stop == "answered" else "red")
    if rollout.answer is not None:
        ending.append(f"   answer: {rollout.answer}", style="bold green")
    ending.append(f"   calls: {rollout.calls}", style="dim")
    if reward is not None:
        parts = ", ".join(f"{name} {value:.3g}" for name, value in reward.parts.items())
        ending.append(f"   reward: {reward.total:.3g}" + (f" ({parts})" if parts else ""), style="bold")
    console.print(ending)


def _paint_turn(console: Console, turn: Turn) -> None:
    head = Text(f"▍{turn.role}", style=f"bold {STYLES.get(turn.role, '')}")
    if turn.token_ids:
        head.append(f"  {len(turn.token_ids)} tokens", style="dim")
    if turn.seconds:
        head.append(f"  {turn.seconds:.2f} s", style="dim")
    problems = [str(turn.error)] if turn.error else []
    problems += [f"{call.error}: {call.detail}" for call in turn.calls if call.error]
    problems += [f"{result.name}: {result.error}" for result in turn.results if result.error]
    console.print(head)
    text = Text(turn.text.rstrip("\n"), style=STYLES.get(turn.role, ""))
    if turn.thought and (place := turn.text.find(turn.thought)) >= 0:
        text.stylize("italic magenta", place, place + len(turn.thought))
    console.print(text, soft_wrap=True)
    for problem in dict.fromkeys(problems):
        console.print(Text(f"  ✖ {problem}", style="red"))


def paint_mask(
    console: Console,
    tokens: Sequence[str],
    weights: Sequence[float],
    advantages: Sequence[float] | None = None,
) -> None:
    """Tokens, those that are trained on set apart from the others.

    Args:
        console: Where.
        tokens: The text of each token.
        weights: Weight in the loss of each token; 0: not trained on.
        advantages: Which way each token is pulled; None in supervised training, where all pull is up.
    """
    text = Text()
    for place, (token, weight) in enumerate(zip(tokens, weights, strict=True)):
        pull = 1.0 if advantages is None else advantages[place]
        style = (
            "dim"
            if weight == 0
            else "black on green"
            if pull > 0
            else "black on red"
            if pull < 0
            else "reverse"
        )
        if not console.color_system and weight:
            token = f"⟦{token}⟧"
        text.append(token, style=style)
    console.print(text, soft_wrap=True)


def legend(reinforced: bool) -> Text:
    """What the colours of `paint_mask` mean."""
    text = Text("not trained", style="dim").append("  ")
    if not reinforced:
        return text.append("trained", style="black on green").append(
            "  (without colours: ⟦token⟧)", style="dim"
        )
    text.append("advantage > 0", style="black on green").append("  ")
    text.append("advantage < 0", style="black on red").append("  ").append("advantage 0", style="reverse")
    return text.append("  (without colours: ⟦token⟧)", style="dim")
