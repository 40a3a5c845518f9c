PYTHON ?= python3
STORE ?= mlflow.db
N ?= 8
SEED ?= 0
BIN := .venv/bin
INSTALLED := .venv/installed
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PER_CORE := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: run ui server test test-processes test-slow test-gpu test-peers perf perf-gpu perf-tracking screenshots mutate golden lint docs notebooks

run: $(INSTALLED) ## the default run: a small U-Net on generated phantoms; ARGS='...' adds overrides
	$(BIN)/python -m bench $(ARGS)

ui: $(INSTALLED) ## MLflow's UI on localhost
	$(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlflow.db

server: $(INSTALLED) ## MLflow's server on localhost, with PostgreSQL; AUTH, WORKERS, PORT, FOLDER: server/start.sh
	server/start.sh

test: $(INSTALLED) ## all tests without marks; one process per core, with one thread each
	$(ONE_THREAD) $(BIN)/python -m pytest $(PER_CORE)

test-processes: $(INSTALLED) ## whole commands, servers, a browser; skips tests of PostgreSQL or Chromium if absent
	$(ONE_THREAD) $(BIN)/python -m pytest -m 'processes and not slow' -rs

test-slow: $(INSTALLED)
	$(ONE_THREAD) $(BIN)/python -m pytest $(PER_CORE) -m slow

test-gpu: $(INSTALLED) ## tests on a CUDA device, compared with the CPU; skipped with the reason without one
	$(BIN)/python -m pytest tests/gpu -m gpu -rs

test-peers: $(INSTALLED) ## estimates beside those of other packages; installs the extra `peers` first
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[peers]'
	$(ONE_THREAD) $(BIN)/python -m pytest tests/peers -m peers -rs
	$(ONE_THREAD) $(BIN)/python tests/studies/peers.py --seeds 2 --n 500 --dims 1 3

perf: $(INSTALLED) ## ratios of times within one run; takes minutes
	$(BIN)/python tests/perf/estimators.py
	$(BIN)/python tests/perf/pairs.py
	$(BIN)/python tests/perf/measurement.py
	$(BIN)/python tests/perf/asking.py
	$(BIN)/python tests/perf/discarding.py
	$(BIN)/python tests/perf/memory.py
	$(BIN)/python tests/perf/pictures.py

perf-gpu: $(INSTALLED) ## times on a CUDA device, at most 8 minutes; ARGS='--device cpu --quick' tries the script
	$(BIN)/python tests/perf/gpu.py $(ARGS)

mutate: $(INSTALLED) ## mutation tests; ROOM=, FILE=, N= mutants per file, SEED=; an hour; docs/testing.md
	$(ONE_THREAD) nice -n 15 $(BIN)/python tests/mutation/mutate.py --count $(N) --seed $(SEED) $(if $(ROOM),--room '$(ROOM)') $(if $(FILE),--file $(FILE))

golden: $(INSTALLED) ## compare outputs of commit BASE and the working tree; NAMES='calibrate sweep'; takes minutes
	$(if $(BASE),,$(error BASE: wanted the commit to compare with, such as make golden BASE=main))
	$(BIN)/python tests/golden/golden.py against $(BASE) $(NAMES)

screenshots: $(INSTALLED) ## make docs/images/ui_*.png from the newest sweep in STORE, with chromium
	$(BIN)/python tests/screenshots.py $(STORE)

perf-tracking: $(INSTALLED) ## docs/scaling.md; SQLite, and DATABASE=postgresql://… if given (it must be empty)
	$(BIN)/python tests/perf/sweeps.py
	$(BIN)/python tests/perf/tracking.py $(DATABASE)
	$(BIN)/python tests/perf/queries.py $(DATABASE)

docs: $(INSTALLED) ## the documentation in site/index.html; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

notebooks: $(INSTALLED) ## run the notebooks again in a scratch folder and store their outputs; minutes
	folder=$$(mktemp -d) && cp docs/notebooks/*.ipynb $$folder && cd $$folder && PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=$(CURDIR) \
	jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False *.ipynb && cp *.ipynb $(CURDIR)/docs/notebooks

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
