"""Learning curves: which metrics share a panel, and the geometry of each panel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolwise.reports.run_folder import Record, Stage, numbers

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 26
MAX_POINTS = 300

PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Reward", "figure", (("reward_mean", "mean"),)),
    (
        "Accuracy",
        "share",
        (("accuracy", "all"), ("accuracy_within", "within"), ("accuracy_beyond", "beyond")),
    ),
    (
        "Tool calls per rollout",
        "count",
        (("calls_per_rollout", "all"), ("calls_within", "within"), ("calls_beyond", "beyond")),
    ),
    (
        "What cannot be learned from",
        "share",
        (
            ("zero_variance_share", "groups without variance"),
            ("clipped_share", "cut by a limit"),
            ("parse_error_share", "parse errors"),
        ),
    ),
    ("Loss", "figure", (("loss", "training"), ("validation_loss", "validation"))),
    ("Critic: value loss", "count", (("value_loss", "value loss"),)),
    ("Critic: explained variance", "figure", (("explained_variance", "of the returns"),)),
    ("Entropy", "count", (("entropy", "nats per token"),)),
    ("KL to the reference", "figure", (("kl", "nats per token"),)),
    ("Gradient norm", "count", (("grad_norm", "before clipping"),)),
    ("Learning rate", "count", (("learning_rate", "learning rate"),)),
    (
        "Seconds per step",
        "count",
        (
            ("seconds", "all"),
            ("seconds_collect", "rollouts"),
            ("seconds_reward", "rewards"),
            ("seconds_learn", "learning"),
        ),
    ),
    (
        "Tokens per second",
        "count",
        (("sampled_tokens_per_second", "sampled"), ("learned_tokens_per_second", "learned")),
    ),
)
"""Title, unit (``share`` in [0, 1], ``count`` from 0, ``figure`` free), and the metrics shown together."""

MACHINERY = {"Learning rate", "Seconds per step", "Tokens per second"}
"""Panels that tell of the machine rather than of learning; they are folded away."""

PART = "reward_"
"""What the metrics of a reward's parts begin with; each part has a panel of its own, as scales differ."""

KNOWN_PARTS = {"reward_std", "reward_correct", "reward_calls"}
"""The spread of the reward, and parts that other panels show."""

EXACT = {"Learning rate"}
"""Panels of what is set, not measured: there is no noise to smooth."""

COLOURS = {"within": "within", "beyond": "beyond", "all": "all"}
"""Series that have a colour of their own all over the page; others are numbered."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, in picture units, and what it says."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, CSS colour class, SVG paths of raw and smoothed values, and the last value."""

    label: str
    colour: str
    raw: str
    smooth: str
    dots: tuple[tuple[float, float], ...]
    last: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: axes and lines."""

    title: str
    series: tuple[Series, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    description: str
    x_range: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curves:
    """All panels of one phase of a stage: those every reader wants, and the rest."""

    title: str
    steps: int
    panels: tuple[Panel, ...]
    more: tuple[Panel, ...]


def stage_curves(stage: Stage) -> list[Curves]:
    """The curves of a stage; a stage that went through several phases has one set for each."""
    phases: dict[str, list[Record]] = {}
    for record in stage.metrics:
        phases.setdefault(str(record.get("phase", "")), []).append(record)
    found = []
    for phase, records in phases.items():
        title = f"{stage.name} · {phase}" if len(phases) > 1 else stage.name
        rows = [numbers(record) for record in records]
        drawn = [panel for spec in PANELS if (panel := _panel(rows, *spec))]
        main = [panel for panel in drawn if panel.title not in MACHINERY]
        more = [panel for panel in drawn if panel.title in MACHINERY]
        shown = {key for _, _, keys in PANELS for key, _ in keys} | {"step"}
        rest = sorted({key for row in rows for key in row} - shown)
        parts = [key for key in rest if key.startswith(PART) and key not in KNOWN_PARTS]
        main += [
            panel
            for key in parts
            if (panel := _panel(rows, f"Reward: {key.removeprefix(PART)}", "figure", ((key, "mean"),)))
        ]
        more += [
            panel
            for key in rest
            if key not in parts and (panel := _panel(rows, key.replace("_", " "), "figure", ((key, key),)))
        ]
        found.append(Curves(title, len(rows), tuple(main), tuple(more)))
    return found


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Centred moving average; at the ends it runs over the part of the window that there is.

    Args:
        values: Shape (N,).
        window: Width, ≥ 1; an even one acts as the next odd one.
    """
    half = window // 2
    parts = (values[max(0, index - half) : index + half + 1] for index in range(len(values)))
    return [sum(part) / len(part) for part in parts]


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers covering ``[low, high]``, about `count` steps of 1, 2, 2.5 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= span / count * 0.999)
    first = math.floor(low / step + 1e-9)
    found = [first * step]
    while found[-1] < high - step * 1e-6:
        found.append((first + len(found)) * step)
    return found


def figure(value: float) -> str:
    """A number as short as it can be read: three significant digits."""
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def _panel(
    rows: Sequence[dict[str, float]], title: str, unit: str, keys: Sequence[tuple[str, str]]
) -> Panel | None:
    lines = []
    for number, (key, label) in enumerate(keys):
        points = [(row["step"], row[key]) for row in rows if key in row and math.isfinite(row[key])]
        if points:
            lines.append((label, COLOURS.get(label, f"s{number}"), _thin(points)))
    if not lines:
        return None
    steps = [step for _, _, points in lines for step, _ in points]
    values = [value for _, _, points in lines for _, value in points]
    x_low, x_high = min(steps), max(steps)
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    y_marks = _y_marks(values, unit)

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - x_low) / (x_high - x_low)
        up = (value - y_marks[0]) / (y_marks[-1] - y_marks[0])
        x = LEFT + across * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(y, 1)

    def text(value: float) -> str:
        return f"{round(value * 100, 1):g}%" if unit == "share" else figure(value)

    series = []
    for label, colour, points in lines:
        window = 1 if title in EXACT else max(1, len(points) // 12) | 1
        means = smooth([value for _, value in points], window)
        drawn = [place(step, value) for step, value in points]
        eased = [place(step, mean) for (step, _), mean in zip(points, means, strict=True)]
        series.append(
            Series(
                label=label,
                colour=colour,
                raw=_path(drawn) if window > 1 else "",
                smooth=_path(eased),
                dots=tuple(drawn) if len(points) <= 12 else (),
                last=text(means[-1]),
                points=tuple((step, float(f"{value:.4g}")) for step, value in points),
            )
        )
    x_marks = [mark for mark in ticks(x_low, x_high, 5) if x_low <= mark <= x_high and mark == int(mark)]
    ends = "; ".join(f"{line.label} ends at {line.last}" for line in series)
    return Panel(
        title=title,
        series=tuple(series),
        x_ticks=tuple(Tick(place(mark, y_marks[0])[0], figure_step(mark)) for mark in x_marks),
        y_ticks=tuple(Tick(place(x_low, mark)[1], text(mark)) for mark in y_marks),
        description=f"{title} over steps {figure_step(x_low)} to {figure_step(x_high)}: {ends}.",
        x_range=(x_low, x_high),
    )


def figure_step(value: float) -> str:
    """A step number, without a needless fraction."""
    return f"{value:g}"


def _y_marks(values: Sequence[float], unit: str) -> list[float]:
    if unit == "share" and min(values) >= 0 and max(values) <= 1:
        return [0, 0.25, 0.5, 0.75, 1]
    low, high = min(values), max(values)
    if unit in ("count", "share"):
        low = min(0.0, low)
    if low == high:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    return ticks(low, high)


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_POINTS`, each the mean of equally many neighbours."""
    size = math.ceil(len(points) / MAX_POINTS)
    if size == 1:
        return points
    buckets = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (bucket[len(bucket) // 2][0], sum(value for _, value in bucket) / len(bucket)) for bucket in buckets
    ]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
