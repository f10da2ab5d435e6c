# `make demo` and `make test` set everything up by themselves: Python 3.12 and make are enough.
PYTHON ?= python3.12
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAKE ?= lake
RECORDING ?=

.PHONY: demo test lint format bench schema setup clean

demo: $(READY)  ## simulate an animal (or take RECORDING=file.nwb) and run the whole chain
	$(BIN)/tectum demo --lake "$(LAKE)" $(if $(RECORDING),--recording "$(RECORDING)")

# One thread a worker: threads that wait for each other by spinning starve the other worker.
test: $(READY)  ## every test that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

lint: $(READY)  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## benchmarks, as ratios in one run
	$(BIN)/pytest tests/benchmarks -n 0 --benchmark-only -o python_files="bench_*.py"

schema: $(READY)  ## write the JSON Schema of the settings anew
	$(BIN)/tectum settings --schema > schemas/settings.schema.json

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV)
