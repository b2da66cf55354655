# One folder, .venv, holds everything; a second call installs nothing again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test check lint types format bench clean

install: $(STAMP)

# torch first: the pinned build fits a machine without a GPU, and nothing after it asks for another.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once; some minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev,postgres]'
	@touch $(STAMP)

demo: install  ## the whole loop on the embedded sample
	@$(BIN)/flywheel demo

test: install  ## all tests
	@$(BIN)/python -m pytest -n auto

check: lint types  ## what CI checks beside the tests

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_imports.py

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: install  ## the six real weeks; see bench/README.md
	@$(BIN)/python bench/real_weeks.py

clean:
	rm -rf $(VENV) demo
