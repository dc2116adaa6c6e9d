"""What becomes of errors on the command line: a user's mistake is a message, not a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer.core

from toolwise.core import ToolwiseError

DEBUG = "TOOLWISE_DEBUG"
MISTAKE, STOPPED = 2, 130


class GuardedGroup(typer.core.TyperGroup):
    """Prints ToolwiseError in red and exits with 2; Ctrl-C gives one line and 130.

    With ``TOOLWISE_DEBUG=1`` in the environment the traceback is shown instead.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("stopped", "yellow")
            ctx.exit(STOPPED)
        except ToolwiseError as error:
            if os.environ.get(DEBUG):
                raise
            if _interrupted(error):
                _say(" ".join(str(error).split()), "yellow")
                ctx.exit(STOPPED)
            _say(str(error), "red")
            ctx.exit(MISTAKE)
        except OSError as error:
            # What no room has caught: a full disk, a folder that may not be written.
            if os.environ.get(DEBUG) or isinstance(error, BrokenPipeError):
                raise
            place = f"{error.filename}: " if error.filename else ""
            _say(f"{place}{error.strerror or error}\n→ check disk, path and rights", "red")
            ctx.exit(MISTAKE)


def _interrupted(error: ToolwiseError) -> bool:
    learning = sys.modules.get("toolwise.learning")
    return learning is not None and isinstance(error, learning.Interrupted)


def _say(message: str, style: str) -> None:
    from rich.console import Console
    from rich.text import Text

    # Text, not markup: brackets in file names and model output are what they are.
    Console(stderr=True).print(Text(message, style=style), soft_wrap=True)
