"""``python -m toolwise.testing.vectors DIR``."""

from toolwise.testing.vectors.runner import main

raise SystemExit(main())
