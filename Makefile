# Trousseau from a fresh checkout, in one command each. Everything is installed into .venv at the versions that
# constraints.txt pins; a second run reuses it.

PYTHON ?= python3
BIN := .venv/bin
# A test process a core, or as many as WORKERS says; each takes whole files.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: help train compare test test-all lint ci docs clean

help:
	@echo "make train     install, then train the demo recipe on the embedded graph (or the Neo4j at NEO4J_URI)"
	@echo "make compare   hold the newest run against every baseline and its own parts, each trained alone"
	@echo "make test      install with the development tools, then run the tests that are quick"
	@echo "make test-all  the slow ones, too"
	@echo "make lint      ruff and mypy"
	@echo "make ci        lint and all tests"
	@echo "make docs      build the documentation's site into site/"
	@echo "make clean     remove .venv and the caches"

# OpenMP's threads spin while they wait, which is slow beside other busy processes.
train compare: export OMP_WAIT_POLICY ?= passive
train: .venv/train
	$(BIN)/trousseau train --graph

compare: .venv/train
	$(BIN)/trousseau compare

# Processes that share the cores gain nothing from threads.
test test-all: export OMP_NUM_THREADS ?= 1
test: .venv/dev
	$(PYTEST) -m "not slow"

test-all: .venv/dev
	$(PYTEST)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ci: lint test-all

docs: .venv/docs
	$(BIN)/mkdocs build --strict

# The stamps: touched only when the install went through, out of date when the dependencies change.
.venv/train: EXTRAS = demo
.venv/dev: EXTRAS = demo,dev,benchmark,serve,onnx,viz
.venv/docs: EXTRAS = docs
.venv/train .venv/dev .venv/docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf .venv site .mypy_cache .pytest_cache .ruff_cache .hypothesis
