# make run: see damond at work on a real process; make test: everything that must hold.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test lint types architecture unit bench clean help

help:
	@echo "make run    watch a small demo program's memory for 15 s"
	@echo "make test   lint, types, architecture and all tests"
	@echo "make bench  print the figures of this machine"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "damond needs Python 3.11 or newer; set PYTHON=..." >&2; exit 69; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is incomplete here: apt-get install python3-venv" >&2; exit 69; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: | $(BIN)/python
	@test -x $(BIN)/damond || $(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/damond monitor --for 15s -- $(BIN)/python -m damond.demo

test: lint types architecture unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

architecture: $(STAMP)
	$(BIN)/lint-imports --no-cache

unit: $(STAMP)
	$(BIN)/pytest -q

bench: $(STAMP)
	$(BIN)/python tests/bench/figures.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
