"""The command line: parse, call, print. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of ``toolwise``."""
    from toolwise.cli.app import app

    app(prog_name="toolwise")
