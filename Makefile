PYTHON ?= python3
STORE ?= mlflow.db
N ?= 8
SEED ?= 0
BIN := .venv/bin
INSTALLED := .venv/installed
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PER_CORE := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: run ui server test test-processes test-slow perf perf-tracking screenshots mutate golden lint

run: $(INSTALLED) ## the default run: built-in phantoms, a small U-Net; ARGS='...' adds overrides
	$(BIN)/python -m bench $(ARGS)

ui: $(INSTALLED) ## MLflow's UI on localhost
	$(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlflow.db

server: $(INSTALLED) ## MLflow's server on PostgreSQL, on localhost; AUTH=1 asks for passwords, WORKERS, PORT and FOLDER as in server/start.sh
	server/start.sh

test: $(INSTALLED) ## one process a core, one thread each
	$(ONE_THREAD) $(BIN)/python -m pytest $(PER_CORE)

test-processes: $(INSTALLED) ## retraining, sweeps that are killed, servers, a browser; PostgreSQL and Chromium are Debian's, skipped where absent
	$(ONE_THREAD) $(BIN)/python -m pytest -m 'processes and not slow' -rs

test-slow: $(INSTALLED)
	$(ONE_THREAD) $(BIN)/python -m pytest $(PER_CORE) -m slow

perf: $(INSTALLED) ## ratios of times in one run; minutes
	$(BIN)/python tests/perf/estimators.py
	$(BIN)/python tests/perf/pairs.py
	$(BIN)/python tests/perf/measurement.py
	$(BIN)/python tests/perf/asking.py
	$(BIN)/python tests/perf/discarding.py

mutate: $(INSTALLED) ## small faults put into the code, of which the tests are to find 90 %; ROOM=, FILE=, N= mutants a file, SEED=; an hour; docs/TESTING.md
	$(ONE_THREAD) nice -n 15 $(BIN)/python tests/mutation/mutate.py --count $(N) --seed $(SEED) $(if $(ROOM),--room '$(ROOM)') $(if $(FILE),--file $(FILE))

golden: $(INSTALLED) ## the outputs of commit BASE and of the working tree, compared to the last digit; NAMES='calibrate sweep'; minutes
	$(if $(BASE),,$(error BASE: wanted the commit to compare with, such as make golden BASE=main))
	$(BIN)/python tests/golden/golden.py against $(BASE) $(NAMES)

screenshots: $(INSTALLED) ## docs/ui_*.png of the newest sweep in STORE, by chromium
	$(BIN)/python tests/screenshots.py $(STORE)

perf-tracking: $(INSTALLED) ## docs/SCALING.md; DATABASE=postgresql://… (an empty one) is timed beside SQLite
	$(BIN)/python tests/perf/sweeps.py
	$(BIN)/python tests/perf/tracking.py $(DATABASE)
	$(BIN)/python tests/perf/queries.py $(DATABASE)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip check

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
