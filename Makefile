# Everything that a fresh machine needs is Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check torture bench docs clean

demo: $(VENV)/.installed  ## Run the example offline, in ./demo, and say where to look next.
	@mkdir -p demo
	@cd demo && PATH="$(abspath $(BIN)):$$PATH" orc demo
	@echo "(in the folder demo/; the command is $(BIN)/orc)"

test: check  ## What CI runs.
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.installed-test  ## Style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

torture: $(VENV)/.installed-test  ## The long crash and contention runs.
	$(BIN)/python -m pytest -m torture $(PYTEST_ARGS)

bench: $(VENV)/.installed-test  ## Measure; each figure beside what it is compared to.
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed  ## Write the generated parts of the pages anew.
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) demo

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "orc needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed
