# Every target does all it needs on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test slow lint audit format clean

demo: $(VENV)/.train  ## the whole workflow on rendered pictures, offline after installation
	$(BIN)/pizzaiolo demo --out demo-out

test: lint  ## everything but the slow and GPU tests, a file at a time in each of two processes
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

audit: $(VENV)/.dev  ## known vulnerabilities of the pinned dependencies
	$(BIN)/python .ci/audit constraints.txt

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.train: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing (a few minutes the first time) ..."
	$(INSTALL) torch
	$(INSTALL) --editable '.[train]'
	touch $@

$(VENV)/.dev: $(VENV)/.train
	$(INSTALL) --editable '.[train,dev]'
	touch $@
