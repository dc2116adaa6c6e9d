.PHONY: check format lint types imports docs test coverage bench lock

RUN = uv run

check: lint types imports docs coverage  ## everything that CI checks

format:  ## write the code as the formatter wants it
	$(RUN) ruff format src tests benchmarks scripts
	$(RUN) ruff check --fix src tests benchmarks scripts

lint:  ## format, lint and docstring rules
	$(RUN) ruff format --check src tests benchmarks scripts
	$(RUN) ruff check src tests benchmarks scripts

types:  ## strict types
	$(RUN) mypy

imports:  ## imports go one way
	$(RUN) lint-imports

docs:  ## the documentation builds without a warning
	$(RUN) --group docs env NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

test:
	$(RUN) pytest

# A run of the tests that has already measured coverage is not repeated.
coverage:
	test -f .coverage || $(RUN) pytest --cov
	$(RUN) coverage report --fail-under=80

bench:  ## speed against peers, one table; takes some minutes
	$(RUN) --group bench python -m benchmarks.all

lock:  ## pin the versions that were tested
	$(RUN) python scripts/lock.py
