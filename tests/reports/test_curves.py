"""Geometry of the learning curves."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolwise.reports.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    figure,
    smooth,
    stage_curves,
    ticks,
)
from toolwise.reports.run_folder import Stage


def stage(rows):
    return Stage("rl", Path("rl"), "", tuple(rows), ())


def test_smoothing_is_a_centred_mean():
    assert smooth([0, 3, 6, 0, 3], 3) == [1.5, 3.0, 3.0, 3.0, 1.5]
    assert smooth([4.0, 8.0], 1) == [4.0, 8.0]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_cover_the_range_evenly(one, other):
    low, high = min(one, other), max(one, other)
    assume(high - low > 1e-6)
    marks = ticks(low, high)
    slack = (high - low) * 1e-5
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert 2 <= len(marks) <= 8
    gaps = [after - before for before, after in pairwise(marks)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps))


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (1, "1"),
        (0.25, "0.25"),
        (1234.5, "1234"),
        (-0.5, "−0.5"),
        (3e-4, "3e−4"),
        (123456, "1.23e5"),
        (100, "100"),
    ],
)
def test_figures_are_short(value, text):
    assert figure(value) == text


def test_a_line_runs_from_corner_to_corner():
    (curves,) = stage_curves(stage({"step": step, "accuracy": step / 10} for step in range(11)))
    (panel,) = curves.panels
    assert panel.series[0].smooth.startswith(f"M{LEFT},{HEIGHT - BOTTOM}L")
    assert panel.series[0].smooth.endswith(f"L{WIDTH - RIGHT},{TOP}")
    assert [tick.label for tick in panel.y_ticks] == ["0%", "25%", "50%", "75%", "100%"]
    assert panel.description == "Accuracy over steps 0 to 10: all ends at 100%."


def test_numbers_that_are_not_finite_and_gaps_are_left_out():
    rows = [
        {"step": 1, "loss": float("nan")},
        {"step": 2},
        {"step": 3, "loss": 1.0},
        {"step": 4, "loss": float("inf")},
    ]
    (curves,) = stage_curves(stage(rows))
    assert curves.panels[0].series[0].points == ((3, 1.0),)


def test_unknown_numbers_get_panels_of_their_own_and_words_do_not():
    (curves,) = stage_curves(stage([{"step": 1, "advantage_std": 0.5, "host": "here", "resumed": True}]))
    assert [panel.title for panel in curves.more] == ["advantage std"]
    assert curves.panels == ()


def test_long_runs_are_thinned_without_losing_their_mean():
    (curves,) = stage_curves(stage({"step": step, "reward_mean": step % 2} for step in range(4000)))
    points = curves.panels[0].series[0].points
    assert len(points) == 286
    assert all(value == 0.5 for _, value in points)


def test_phases_of_one_stage_are_drawn_apart():
    rows = [{"step": 1, "phase": "sft", "loss": 1.0}, {"step": 1, "phase": "rl", "loss": 2.0}]
    assert [curves.title for curves in stage_curves(stage(rows))] == ["rl · sft", "rl · rl"]
