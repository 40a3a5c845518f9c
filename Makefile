PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: run ui test test-slow perf lint

run: $(INSTALLED) ## the default run: built-in phantoms, a small U-Net; ARGS='...' adds overrides
	$(BIN)/python -m bench $(ARGS)

ui: $(INSTALLED) ## MLflow's UI on localhost
	$(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///$(CURDIR)/mlflow.db

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

perf: $(INSTALLED) ## ratios of times in one run; minutes
	$(BIN)/python tests/perf/estimators.py
	$(BIN)/python tests/perf/measurement.py

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
