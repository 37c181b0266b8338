# Everything that a fresh machine needs is Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
PROVIDERS_VENV ?= .venv-providers
NODE ?= .node
BIN := $(VENV)/bin
SEEDS ?= 5000

.PHONY: demo test check test-providers torture simulate bench docs clean

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

test-providers: $(PROVIDERS_VENV)/.installed $(NODE)/.installed  ## What needs mlx-lm or Node; skips what cannot be had.
	$(PROVIDERS_VENV)/bin/python -m pytest -m providers -rs $(PYTEST_ARGS) tests/heavy

torture: $(VENV)/.installed-test  ## The long crash and contention runs.
	$(BIN)/python -m pytest -m torture $(PYTEST_ARGS)

simulate: $(VENV)/.installed-test  ## Simulated jobs, one for each of SEEDS seeds: make simulate SEEDS=100000
	ORC_SIM_SEEDS=$(SEEDS) $(BIN)/python -m pytest $(PYTEST_ARGS) tests/simulation/test_simulation.py

bench: $(VENV)/.installed-test  ## Measure; each figure beside what it is compared to.
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed  ## Write the generated parts of the pages anew.
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(PROVIDERS_VENV) $(NODE) demo

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "orc needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

# mlx has wheels for Apple silicon and for Linux; elsewhere its tests are skipped.
$(PROVIDERS_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(PROVIDERS_VENV)
	$(PROVIDERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,mlx]' || \
	  { echo "mlx-lm cannot be installed here: its tests are skipped" >&2; \
	    $(PROVIDERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'; }
	@touch $@

# A server that nobody here wrote: @copilotkit/aimock, from npm.
$(NODE)/.installed: Makefile
	@mkdir -p $(NODE)
	npm install --silent --no-save --no-package-lock --prefix $(NODE) @copilotkit/aimock@1.43.0 || \
	  echo "aimock cannot be installed here: its tests are skipped" >&2
	@touch $@
