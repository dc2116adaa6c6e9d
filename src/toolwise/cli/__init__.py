"""The command line: parse, call, print. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of ``toolwise``."""
    import os
    import sys

    from toolwise.cli.app import app

    # So that a recipe's ``module:attribute`` finds the user's own files. Last: they must not hide a package.
    sys.path.append(os.getcwd())
    app(prog_name="toolwise")
