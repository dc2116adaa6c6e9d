"""SMART's benchmark: its two headline figures are the paper's means over cells."""

from __future__ import annotations

import pytest
from benchmarks.smart import DOMAINS, headlines


def figures(calls, accuracy, **more):
    cells = {f"calls {domain}": calls for domain in DOMAINS} | {
        f"accuracy {domain}": accuracy for domain in DOMAINS
    }
    return cells | {"accuracy": accuracy, "recovery L3": 0.5, "coverage": 0.5} | more


def test_saving_is_against_the_tool_prompt_and_gain_against_the_best_baseline():
    seeds = {
        "0": {
            "reasoning": {f"calls {domain}": 0.0 for domain in DOMAINS}
            | {"accuracy math": 0.9, "accuracy time": 0.1},
            "tool prompt": figures(2.0, 0.8),
            "SMART": figures(1.0, 0.9),
        },
        "1": {
            "reasoning": {},
            "tool prompt": figures(0.0, 0.8),
            "SMART": figures(1.0, 0.8),
        },
    }
    found = headlines(seeds)
    assert found["saving"] == 0.5
    # Seed 0: math 0.9 against 0.9 from memory, three domains 0.9 against 0.8; all else is as before.
    assert found["gain"] == pytest.approx(3 * 0.125 / 12)
    assert found["accuracy_change"] == pytest.approx(0.05)
    assert found["cells_left_out"] == 4  # no calls to save in seed 1
