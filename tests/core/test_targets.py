"""``module:attribute``: one way to load a user's own part, and to refuse it before anything costly begins."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolwise.core import ToolwiseError, load_target
from toolwise.core.targets import (
    blamed,
    call_target,
    check_arguments,
    importable,
    importable_callable,
    made_from,
)

MODULE = "toolwise_test_targets"


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(
        "class Made:\n"
        "    def __init__(self, size): self.size = size\n"
        "    def __call__(self): return self.size\n"
        "    class Inner: pass\n"
        "def number(): return 3\n"
        "def breaks(x): return x / 0\n"
        "def scores(task, rollouts, weight=1): pass\n"
        "secret = {'token': 'do not print'}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_attributes_and_what_lies_in_them():
    assert load_target(f"{MODULE}:number")() == 3
    assert load_target(f"{MODULE}:Made.Inner").__qualname__ == "Made.Inner"
    assert importable(f"{MODULE}:secret") == f"{MODULE}:secret"


@pytest.mark.parametrize("target", [f"{MODULE}:absent", "toolwise_no_such_module:f"])
def test_what_cannot_be_imported_says_what_to_do(target):
    with pytest.raises(ToolwiseError, match=r"cannot be imported(.|\n)*PYTHONPATH") as caught:
        load_target(target)
    assert caught.value.where == f"target '{target}'"
    with pytest.raises(ValueError, match="cannot be imported"):
        importable(target)


def test_what_is_no_function_is_refused_without_showing_its_content():
    with pytest.raises(ValueError) as caught:
        importable_callable(f"{MODULE}:secret")
    assert str(caught.value) == "gives a dict, which cannot be called"
    assert isinstance(caught.value.__cause__, ToolwiseError)


def test_arguments_that_do_not_fit_are_told_with_those_that_do():
    with pytest.raises(ToolwiseError, match=r"unexpected keyword argument 'weight'(.|\n)*it takes \(size\)"):
        made_from(f"{MODULE}:Made", {"size": 1, "weight": 2})
    with pytest.raises(ToolwiseError, match=r"missing a required argument: 'size'"):
        made_from(f"{MODULE}:Made", {})
    assert made_from(f"{MODULE}:Made", {"size": 4})() == 4
    with pytest.raises(ToolwiseError, match="gives a int, which cannot be called"):
        made_from(f"{MODULE}:number", {})
    check_arguments(f"{MODULE}:scores", "task", "rollouts", weight=2)
    with pytest.raises(ToolwiseError, match=r"unexpected keyword argument 'height'"):
        check_arguments(f"{MODULE}:scores", "task", "rollouts", height=2)


def test_what_a_target_raises_is_told_with_its_line():
    with pytest.raises(ToolwiseError) as caught:
        call_target(f"{MODULE}:breaks", 1)
    assert caught.value.problem == f"target '{MODULE}:breaks' raised ZeroDivisionError: division by zero"
    assert caught.value.where.endswith(f"{MODULE}.py, line 6")
    with pytest.raises(ToolwiseError, match=r"^here: told$"), blamed("it"):
        raise ToolwiseError("told", where="here")


def test_core_needs_none_of_what_makes_the_command_line_slow():
    heavy = ("pydantic", "numpy", "pyarrow", "torch")
    code = f"import sys, toolwise.core, toolwise.core.records; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
