"""Runs the vector files of a folder and prints how far ours agrees."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from toolwise.core import ToolwiseError
from toolwise.testing.vectors.comparison import Check

IMPLEMENTED = {
    "mash_reward.json": "mash:checks",
    "matchtir_dual_advantage.json": "matchtir:checks",
    "minprompt_domset.json": "minprompt:set_checks",
    "minprompt_text_vectors.json": "minprompt:text_checks",
    "otc_vectors.jsonl": "otc:checks",
    "searchr1_vectors.jsonl": "search_r1:checks",
    "smart_parser_vectors.jsonl": "smart:checks",
    "toolrl_vectors.jsonl": "toolrl:checks",
    "verl_advantages.json": "advantages:checks",
    "verl_aux_losses.json": "losses:auxiliary_checks",
    "verl_policy_losses.json": "losses:policy_loss_checks",
}
"""File name → what compares it; imported only when the file is there."""

DESCRIPTION = """\
Compare this project's numbers with reference vectors: inputs and outputs of published programs.

Each vector file in DIR gives one line,

    NAME agree/total            how many of its values agree with ours
    NAME not implemented        the project has nothing to compare it with yet

A file is recognised by its name. The exit status is 1 if any value disagrees, else 0."""

EPILOG = "known files:\n" + "\n".join(f"  {name}" for name in sorted(IMPLEMENTED))


def file_checks(path: Path) -> Iterator[Check] | None:
    """The comparisons of one vector file, None if its name is not known.

    Raises:
        ToolwiseError: While iterating, if the file cannot be read.
    """
    target = IMPLEMENTED.get(path.name)
    if target is None:
        return None
    module, _, name = target.partition(":")
    run: Callable[[Path], Iterator[Check]] = getattr(
        importlib.import_module(f"toolwise.testing.vectors.{module}"), name
    )
    return run(path)


def run_folder(folder: Path, verbose: bool = False) -> int:
    """Print one line for each vector file of a folder.

    Args:
        folder: Where the files are; only ``.json`` and ``.jsonl`` are looked at, not those in folders below.
        verbose: Whether to list each disagreement under its file.

    Returns:
        Number of disagreements.

    Raises:
        ToolwiseError: If the folder is missing or has no vector files, or a file cannot be read.
    """
    if not folder.is_dir():
        raise ToolwiseError(
            "there is no such folder", where=str(folder), mend="give the folder that holds the vector files"
        )
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".jsonl"))
    if not paths:
        raise ToolwiseError("there are no .json or .jsonl files", where=str(folder))
    disagreements = 0
    for path in paths:
        checks = file_checks(path)
        if checks is None:
            print(f"{path.name} not implemented", flush=True)
            continue
        done = list(_read(checks, path))
        wrong = [one for one in done if one.problem]
        disagreements += len(wrong)
        print(f"{path.name} {len(done) - len(wrong)}/{len(done)}", flush=True)
        if verbose:
            for one in wrong:
                print(f"    {one.name}: {one.problem}")
    return disagreements


def _read(checks: Iterator[Check], path: Path) -> Iterator[Check]:
    """Pass checks on; a file that lacks what its format promises is the user's to mend."""
    try:
        yield from checks
    except (KeyError, TypeError, AttributeError, OSError, UnicodeDecodeError) as error:
        raise ToolwiseError(
            f"does not have the format of its name ({type(error).__name__}: {error})",
            where=str(path),
            mend="fetch the file again, or move it out of the folder",
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status (0 agreement, 1 disagreement, 2 a user's mistake)."""
    parser = argparse.ArgumentParser(
        prog="python -m toolwise.testing.vectors",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder with vector files")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the disagreements")
    chosen = parser.parse_args(arguments)
    try:
        return 1 if run_folder(chosen.folder, chosen.verbose) else 0
    except ToolwiseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
