"""Reference vectors: measured values of published programs, and what compares ours with them."""

from toolwise.testing.vectors.comparison import Check
from toolwise.testing.vectors.runner import file_checks, main, run_folder

__all__ = ["Check", "file_checks", "main", "run_folder"]
