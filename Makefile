# make run | make test | make check | make bench: each sets up everything on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check bench venv clean

venv: .venv/.ready

.venv/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

run: venv
	$(BIN)/python run.py $(ARGS)

test: venv
	$(BIN)/python -m pytest -n logical --dist loadfile -m "not slow and not gpu and not peers" $(ARGS)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv
	failed=0; for script in benchmarks/*.py; do $(BIN)/python $$script $(ARGS) || failed=1; done; exit $$failed

clean:
	rm -rf .venv artifacts runs
