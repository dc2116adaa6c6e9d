"""``python -m toolwise``, and so ``torchrun … -m toolwise``."""

from toolwise.cli import main

if __name__ == "__main__":
    main()
