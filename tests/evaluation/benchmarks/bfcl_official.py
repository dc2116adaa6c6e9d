"""BFCL's own checker, where the package bfcl-eval can be imported.

Its checker looks up one flag of the model in a table whose module imports the clients of every vendor; where
those are not installed, a double with this flag alone stands in for that table. The checker is the real one.
"""

from __future__ import annotations

import sys
import types

import pytest

REASON = "bfcl-eval is not installed (pip install --no-deps bfcl-eval)"
DOTS, UNDERSCORES = "dots", "underscores"


def official_module(name: str):
    """A module of bfcl-eval; the test is skipped where it is absent."""
    pytest.importorskip("bfcl_eval", reason=REASON)
    table = "bfcl_eval.constants.model_config"
    if table not in sys.modules:
        double = types.ModuleType(table)
        double.MODEL_CONFIG_MAPPING = {
            DOTS: types.SimpleNamespace(underscore_to_dot=False),
            UNDERSCORES: types.SimpleNamespace(underscore_to_dot=True),
        }
        sys.modules[table] = double
    return pytest.importorskip(f"bfcl_eval.{name}", reason=REASON)


def official_verdict(functions, calls, answers, language: str, category: str, model: str = DOTS):
    """``(valid, error type)`` of the official checker; valid is None where it raises.

    Args:
        calls: ``[(name, arguments)]``.
    """
    checker = official_module("eval_checker.ast_eval.ast_checker")
    languages = official_module("constants.enums").Language
    try:
        found = checker.ast_checker(
            functions,
            [{name: arguments} for name, arguments in calls],
            answers,
            languages(language),
            category,
            model,
        )
    except Exception as error:
        return None, type(error).__name__
    return found["valid"], found.get("error_type", "")
