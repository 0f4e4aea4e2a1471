PYTHON ?= python3
BIN := .venv/bin
LOCK := requirements.lock

.PHONY: demo test lint check ui bench docs figures clean setup

setup: .venv/.installed

# One stamp for the whole environment: made anew only when the lock or the project's own description changes.
.venv/.installed: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "SegSPADE needs Python 3.11 or newer; say which one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv; }
	$(BIN)/uv pip install --quiet --compile-bytecode --requirement $(LOCK)
	$(BIN)/uv pip install --quiet --no-deps --editable .
	$(BIN)/python -m tasks.warming
	@touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

check: lint
	$(BIN)/pytest -m "not slow and not prefect and not browser"

# a process a core, up to four: each has servers of its own; more threads than cores would wait for each other
test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses 4 --no-loadscope-reorder

demo: setup
	$(BIN)/segspade demo

ui: setup
	$(BIN)/segspade ui

bench: setup
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# the pages as a site of their own, in site/; nothing in it is fetched from elsewhere
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "open site/index.html"

# the pictures of the pages; needs Debian's chromium
figures: setup
	$(BIN)/python docs/make_figures.py

clean:
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
