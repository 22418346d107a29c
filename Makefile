# make demo: train the toy ResNet. make test: run the tests. make docs: build the site into site/.
# Each creates .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format lint types imports slow docs bench bench-peers clean

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

docs: .venv/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench: .venv/dev.stamp
	$(BIN)/python bench/run.py

bench-peers: .venv/dev.stamp
	$(BIN)/python bench/peers.py

clean:
	rm -rf .venv .bench site

.venv/base.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

.venv/docs.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@
