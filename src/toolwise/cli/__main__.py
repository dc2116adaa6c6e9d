"""``python -m toolwise.cli``."""

from toolwise.cli import main

main()
