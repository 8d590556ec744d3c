# Works on a machine with Python 3.11+ and make. `make test VENV=/elsewhere PYTHON=python3.12` too.
# pip's own settings (index, cache, proxies) apply.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
# The modules that can be run; the others are what these share.
BENCHMARKS = $(basename $(notdir $(shell grep -l '^if __name__' benchmarks/*.py)))

.PHONY: venv demo test lint bench

venv: $(STAMP)

# pyproject.toml decides what is installed: only when it changes is anything done again.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: empo2-agent needs Python 3.11 or newer, and $(PYTHON) is older. Type: make $(or $(MAKECMDGOALS),venv) PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: venv
	$(BIN)/empo2 adapt --task find-non-living-thing --trials 5

test: venv
	$(BIN)/python -m pytest -m ""

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name; done
