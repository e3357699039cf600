# make demo: a new environment, the install, and the default run.
# make test-fast: the unit tests, at each change.   make test: those and whole commands, before a commit.
# make test-long: real training, kills, launchers, fuzzing.
# make test-standin: all tests where our files lack all that only Unix has, and the file system keeps Windows' rules.
# make coverage: which lines the tests of `make test` run.
# make docs: --help, docs/keys.md and conf/schema.json, from the comments in conf/.
# make site: the pages of docs/ with search and an API reference, in docs/_build/; a warning is an error.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

.PHONY: demo test-fast test test-long test-standin coverage lint docs site

demo: .venv/installed
	$(BIN)/python -m optimize prune=0.3 quant=int8

test-fast: .venv/installed-dev
	$(PYTEST) -m "not command and not long"

test: .venv/installed-dev
	$(PYTEST) -m "not long"

test-long: .venv/installed-dev
	$(PYTEST) -m long

test-standin: .venv/installed-dev
	PYTHONPATH=$(CURDIR)/tests/standins STANDIN_FILES=1 $(PYTEST)

coverage: .venv/installed-dev
	$(PYTEST) -m "not long" --cov=optimize --cov-report=term

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/lint_portable.py
	$(BIN)/python tests/lint_imports.py

docs: .venv/installed-dev
	$(BIN)/python -m optimize.keys

site: .venv/installed-dev
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@ .venv/installed
