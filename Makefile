# A machine needs Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
PROVIDERS_VENV ?= .venv-providers
LOWEST_VENV ?= .venv-lowest
DIST_VENV ?= .venv-dist
NODE ?= .node
BIN := $(VENV)/bin
SEEDS ?= 5000
MUTANTS ?= 400
MUTANTS_SEED ?= 0
TARGETS ?=

.PHONY: demo test run-tests check check-lint check-format check-types test-lowest test-providers torture \
  simulate mutate bench docs dist clean

demo: $(VENV)/.installed  ## Run the example offline, in ./demo.
	@mkdir -p demo
	@echo "Running the example of four steps in demo/ ..."
	@cd demo && PATH="$(abspath $(BIN)):$$PATH" orc demo
	@echo "(in the folder demo/; the command is $(BIN)/orc)"

# mypy uses one core, and much longer than ruff: the tests begin meanwhile. If something fails, the checks
# are done again, so that what they find also stands after the dots of the tests.
test: $(VENV)/.installed-test  ## Run the checks and the tests, as CI does.
	@$(MAKE) --no-print-directory -j2 check run-tests || \
	  { code=$$?; $(MAKE) --no-print-directory check; exit $$code; }

# Many tests start Python; without compiled modules, each of these would compile them again.
run-tests: $(VENV)/.compiled
	@echo "== Tests: pytest, on all cores; each dot is a test"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST_ARGS)

# The workers of pytest find the tests all at the same time. What that leaves in caches (compiled modules
# and assertions, constants for Hypothesis) would be made by each of them.
$(VENV)/.compiled: $(VENV)/.installed-test
	@echo "== Compiling what the tests import (once)"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n0 --collect-only -qq >/dev/null 2>&1 || true
	@touch $@

check: check-lint check-format check-types  ## Check style and types, as .pre-commit-config.yaml does.

check-lint: $(VENV)/.installed-test
	@echo "== Style and common mistakes: ruff check"
	@$(BIN)/ruff check .

check-format: $(VENV)/.installed-test
	@echo "== Layout of the code: ruff format"
	@$(BIN)/ruff format --check .

check-types: $(VENV)/.installed-test
	@echo "== Types: mypy --strict (a minute the first time)"
	@$(BIN)/mypy

test-lowest: $(LOWEST_VENV)/.installed-test  ## Run the tests with the lowest versions of direct dependencies that pyproject.toml allows.
	$(LOWEST_VENV)/bin/python -m pytest $(PYTEST_ARGS)

test-providers: $(PROVIDERS_VENV)/.installed $(NODE)/.installed  ## Run the tests that need mlx-lm, Node, a kernel or namespaces; a test without its package is skipped.
	$(PROVIDERS_VENV)/bin/python -m pytest -m providers -rs $(PYTEST_ARGS) tests/heavy

torture: $(VENV)/.installed-test  ## Run the long tests of crashes and lock contention.
	$(BIN)/python -m pytest -m torture $(PYTEST_ARGS)

simulate: $(VENV)/.installed-test  ## Simulate one job for each of SEEDS seeds: make simulate SEEDS=100000
	ORC_SIM_SEEDS=$(SEEDS) $(BIN)/python -m pytest $(PYTEST_ARGS) tests/simulation/test_simulation.py

mutate: $(VENV)/.installed-test  ## Change single places of the code; the nearest tests must notice: make mutate MUTANTS=20 TARGETS=masking
	$(BIN)/python -m tests.mutation $(MUTANTS) $(TARGETS) --seed $(MUTANTS_SEED)

bench: $(VENV)/.installed-test  ## Run the benchmarks; each figure is printed with its ratio to a yardstick.
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed-docs  ## Rewrite the generated parts of the documentation, and build the site in site/.
	@echo "== Generated parts, and links to the glossary"
	@$(BIN)/python docs/generate.py
	@echo "== The site, with strict links"
	@$(BIN)/zensical build --clean --strict
	@echo "open site/index.html, or serve it: $(BIN)/zensical serve"

dist: $(DIST_VENV)/.installed  ## Build the sdist and the wheel, and check that the sdist gives the same wheel as the tree.
	rm -rf dist
	$(DIST_VENV)/bin/python .github/release.py build dist

clean:
	rm -rf $(VENV) $(PROVIDERS_VENV) $(LOWEST_VENV) $(DIST_VENV) $(NODE) demo dist site

$(VENV)/bin/python:
	@echo "Making the environment $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "orc needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@$(PYTHON) .github/install.py $(VENV) .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	@$(PYTHON) .github/install.py $(VENV) '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	@$(PYTHON) .github/install.py $(VENV) '.[docs]'
	@touch $@ $(VENV)/.installed

# uv is used here, since pip cannot choose the lowest versions. The environment is created anew each
# time, so that it has no package from an older pyproject.toml.
$(LOWEST_VENV)/.installed-test: pyproject.toml
	$(PYTHON) -m venv --clear $(LOWEST_VENV)
	$(LOWEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST_VENV)/bin/uv pip install --quiet --python $(LOWEST_VENV)/bin/python \
	  --resolution lowest-direct --editable '.[test]'
	@touch $@

$(DIST_VENV)/.installed: Makefile
	$(PYTHON) -m venv --clear $(DIST_VENV)
	$(DIST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check build
	@touch $@

# mlx has wheels for Apple silicon and for Linux only; elsewhere its tests are skipped. llmock has an
# environment of its own, since it is a plugin of pytest too.
$(PROVIDERS_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(PROVIDERS_VENV)
	$(PROVIDERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,mlx]' || \
	  { echo "mlx-lm cannot be installed here: its tests are skipped" >&2; \
	    $(PROVIDERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'; }
	$(PYTHON) -m venv $(PROVIDERS_VENV)/llmock
	$(PROVIDERS_VENV)/llmock/bin/python -m pip install --quiet --disable-pip-version-check llmock || \
	  echo "llmock cannot be installed here: its tests are skipped" >&2
	$(PROVIDERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check oteltap || \
	  echo "oteltap cannot be installed here: its test is skipped" >&2
	@touch $@

# An independent implementation of the model APIs, and the YAML language server of editors, to test
# against: from npm.
$(NODE)/.installed: Makefile
	@mkdir -p $(NODE)
	npm install --silent --no-save --no-package-lock --prefix $(NODE) \
	  @copilotkit/aimock@1.43.0 yaml-language-server@1.25.0 || \
	  echo "aimock and yaml-language-server cannot be installed here: their tests are skipped" >&2
	@touch $@
