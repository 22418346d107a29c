# make demo: train the toy ResNet. make test: run the tests. Each makes .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format lint types imports slow bench bench-peers clean

demo: .venv/base.stamp
	$(BIN)/anabranch demo

test: .venv/dev.stamp
	$(BIN)/pytest -n 2

check: format lint types imports

format: .venv/dev.stamp
	$(BIN)/ruff format --check .

lint: .venv/dev.stamp
	$(BIN)/ruff check .

types: .venv/dev.stamp
	$(BIN)/mypy

imports: .venv/dev.stamp
	$(BIN)/lint-imports

slow: .venv/dev.stamp
	$(BIN)/pytest -n 2 -m slow

bench: .venv/dev.stamp
	$(BIN)/python bench/run.py

bench-peers: .venv/dev.stamp
	$(BIN)/python bench/peers.py

clean:
	rm -rf .venv .bench

.venv/base.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@
