"""calculator: a safe evaluator of arithmetic, bounded in time and in the size of its numbers."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from toolwise.tools.tool import Tool, ToolError

MAX_EXPRESSION_CHARS = 500
MAX_BITS = 4096
"""Integers beyond this many bits (about 1,233 digits) are refused, so that no operation can take long."""
MAX_DECIMALS = 100

Number = int | float

_TYPOGRAPHY = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**"})


def evaluate(expression: str) -> Number:
    """Value of an arithmetic expression.

    Args:
        expression: Numbers, + - * / // % **, parentheses, and sqrt, round, abs, min, max. ``^`` is power.

    Raises:
        ToolError: Says, in words for the model, what is wrong with the expression.
    """
    from simpleeval import InvalidExpression, SimpleEval

    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ToolError(f"the expression is longer than {MAX_EXPRESSION_CHARS} characters")
    if not expression.strip():
        raise ToolError("the expression is empty")
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names={})
    allowed = {ast.BinOp, ast.UnaryOp, ast.Call}
    evaluator.nodes = {node: handler for node, handler in evaluator.nodes.items() if node in allowed}
    evaluator.nodes[ast.Constant] = _constant
    try:
        tree = ast.parse(expression.strip().translate(_TYPOGRAPHY), mode="eval")
        value = evaluator.eval(expression, previously_parsed=tree.body)
    except ZeroDivisionError as error:
        raise ToolError("division by zero") from error
    except OverflowError as error:
        raise ToolError("a number is too large") from error
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ToolError("the expression cannot be read; write for instance (3 + 4) * 12") from error
    except (InvalidExpression, TypeError) as error:
        raise ToolError(
            "only numbers, + - * / // % **, parentheses and sqrt, round, abs, min, max are allowed"
        ) from error
    return _bounded(value)


def format_number(value: Number) -> str:
    """Integers without ``.0``, other numbers to 10 significant digits."""
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.10g}"


def calculate(expression: str) -> str:
    """Evaluate an arithmetic expression.

    Args:
        expression: For instance (3 + 4) * 12. Allowed are + - * / // % **, sqrt, round, abs, min and max.
    """
    return format_number(evaluate(expression))


def calculator() -> Tool:
    """The tool ``calculator(expression)``."""
    return Tool.from_function(calculate, name="calculator", inline=True)


def _bounded(value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolError("the result is not a real number")
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise ToolError("a number is too large")
    elif not math.isfinite(value):
        raise ToolError("a number is too large")
    return value


def _constant(node: ast.Constant) -> Number:
    return _bounded(node.value)


def _power(base: Number, exponent: Number) -> Number:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(base) > 1 and int(base).bit_length() * abs(exponent) > MAX_BITS:
        raise ToolError("a number is too large")
    return _bounded(base**exponent)


def _square_root(value: Number) -> Number:
    if value < 0:
        raise ToolError("sqrt of a negative number")
    return (
        math.isqrt(value) if isinstance(value, int) and math.isqrt(value) ** 2 == value else math.sqrt(value)
    )


def _round(value: Number, decimals: Number = 0) -> Number:
    if not isinstance(decimals, int) or abs(decimals) > MAX_DECIMALS:
        raise ToolError(f"round takes a whole number of decimals, at most {MAX_DECIMALS}")
    return round(value, decimals) if decimals else round(value)


def _checked(operation: Callable[..., Any]) -> Callable[..., Number]:
    return lambda *values: _bounded(operation(*values))


_OPERATORS: dict[type, Callable[..., Number]] = {
    ast.Add: _checked(operator.add),
    ast.Sub: _checked(operator.sub),
    ast.Mult: _checked(operator.mul),
    ast.Div: _checked(operator.truediv),
    ast.FloorDiv: _checked(operator.floordiv),
    ast.Mod: _checked(operator.mod),
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sqrt": _square_root,
    "round": _round,
    "abs": abs,
    "min": min,
    "max": max,
}
