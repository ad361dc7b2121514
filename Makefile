# Everything a person types. `make demo` and `make test` need nothing but Debian 12 and Python 3.11.
VENV := .venv
PYTHON ?= python3.11
BIN := $(VENV)/bin
# Tests run in parallel, a file to a process, so that what files share (a Ray cluster, fixtures) is made once.
PROCESSES ?= auto
TESTS ?= $(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses=4 --dist=loadfile
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-all check bench setup clean
setup:
	@PYTHON=$(PYTHON) scripts/setup.sh $(VENV)

demo: setup
	$(BIN)/pyramid demo

test: setup
	$(TESTS)

test-all: setup
	$(BIN)/python -m pytest -m "slow or not slow"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(TESTS)

bench: setup
	@for name in $$($(BIN)/python -m benchmarks --list); do $(BIN)/python -m benchmarks $$name --quick || exit 1; done

clean:
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
