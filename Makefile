# make demo: train the toy ResNet. make test: run the tests. make docs: build the site into site/.
# Each creates .venv and installs what it needs.
# make floor, make newest: the tests on the oldest dependencies that pyproject.toml declares and on the newest torch, in environments
# of several GB.
PYTHON ?= python3
BIN := .venv/bin

# make pyodide: describe models in Pyodide (Python in the browser), where there is no torch, and compare with what this Python prints.
# make playground: the page that describes models in the browser, into site/playground.
# make browser: the tests of pages, in a headless Chromium, which is installed where apt-get can.
# make pictures: draw the models of tests/drawn_models.py into docs/drawings.
# make nonsense: call every public name with wrong values for each argument, drawn by a seed, each with a time limit.
# make fuzz MINUTES=60 KINDS="graphs functions": compare random cases with Keras.
# make fuzz-files INPUTS=1000000: read mutated files, at random, and as many guided by coverage.
MINUTES ?= 5
INPUTS ?= 100000
KINDS ?=
.PHONY: demo test check format lint types imports slow pictures playground browser nonsense fuzz fuzz-files gpu fake floor newest docs bench bench-table bench-all bench-tokens bench-peers clean

demo: .venv/base.stamp
	$(BIN)/anabranch demo

test: .venv/dev.stamp
	$(BIN)/pytest -n 2

check: format lint types imports docs

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

pictures: .venv/dev.stamp
	$(BIN)/pytest -q -n 0 --regenerate -k look_as_they_did tests/insight/test_drawings.py

floor: .venv-floor/stamp
	.venv-floor/bin/pytest -n 2

newest: .venv-newest/stamp
	.venv-newest/bin/pytest -n 2

# On a machine with a GPU: the tests there, those that need one too, and all figures, in eight minutes, into bench/results. It
# installs nothing: what is not there is named. ANABRANCH_DATA is the folder of CIFAR-10.
gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) bench/gpu.py

# Without one: the tests on an accelerator that is none, compiled in a minute (tests/fake_device).
fake: .venv/dev.stamp
	$(BIN)/pytest -n 2 --device fake

pyodide: .venv-pyodide/stamp
	PYTHONPATH=src:.venv-pyodide/site $(PYTHON) tests/pyodide/describe.py > .venv-pyodide/here.txt
	node tests/pyodide/run.mjs .venv-pyodide/node_modules .venv-pyodide/site > .venv-pyodide/there.txt
	diff .venv-pyodide/here.txt .venv-pyodide/there.txt
	tail -n 1 .venv-pyodide/there.txt

playground: .venv-pyodide/stamp
	$(PYTHON) playground/build.py .venv-pyodide/node_modules/pyodide .venv-pyodide/site site/playground

browser: .venv/dev.stamp playground
	command -v chromium || command -v google-chrome || apt-get install -y --no-install-recommends chromium
	$(BIN)/pytest -m browser

nonsense: .venv/dev.stamp
	$(BIN)/pytest -m slow tests/nonsense

fuzz: .venv/dev.stamp
	PYTHONPATH=tests $(BIN)/python -W ignore -m fuzz $(KINDS) --minutes $(MINUTES) --out .fuzz

fuzz-files: .venv/dev.stamp
	$(BIN)/pip install --quiet -c constraints.txt -e ".[fuzz]"
	PYTHONPATH=tests $(BIN)/python -W ignore -m fuzz.files --inputs $(INPUTS) --out .fuzz
	PYTHONPATH=tests $(BIN)/python -W ignore -m fuzz.files --inputs $(INPUTS) --out .fuzz --guided

docs: .venv/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# The tables of the README and of docs/speed.md, all peers in one run of at most 20 minutes on an otherwise idle machine; then
# make bench-table writes the newest into the pages. make bench-all: every work and more of each, an hour or two.
TABLE := toy-train resnet20-train mlp-train two-tower-train transformer-train toy-infer
bench: .venv/dev.stamp
	$(BIN)/python bench/run.py --work $(TABLE) --minutes 19 --out bench/results/$$(date +%F)-cpu.json

bench-table: .venv/dev.stamp
	$(BIN)/python bench/table.py --write

bench-all: .venv/dev.stamp
	$(BIN)/python bench/run.py

# The four networks alone, training first; the file is written after each work, so what time cuts off is only the rest.
TOKENS := transformer lstm vit mobilenet
bench-tokens: .venv/dev.stamp
	timeout 715 $(BIN)/python bench/run.py --work $(TOKENS:%=%-train) $(TOKENS:%=%-infer) --long 5 \
	  --peers anabranch torch "torch channels_last" "keras torch" "keras tensorflow" "keras jax" \
	  --out bench/results/$$(date +%F)-tokens.json || test $$? = 124

bench-peers: .venv/dev.stamp
	$(BIN)/python bench/peers.py

clean:
	rm -rf .venv .venv-floor .venv-newest .venv-pyodide .bench .fuzz site

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

# each dependency in the oldest version that is declared, one a line
OLDEST := import tomllib; \
	declared = tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']; \
	print(*[each.split(',')[0].replace('>=', '==') for each in declared], sep='\n')

.venv-floor/stamp: pyproject.toml
	test -x .venv-floor/bin/python || $(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python -c "$(OLDEST)" > .venv-floor/constraints.txt
	.venv-floor/bin/pip install --quiet -c .venv-floor/constraints.txt -e ".[test]"
	touch $@

.venv-newest/stamp: pyproject.toml
	test -x .venv-newest/bin/python || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install --quiet --upgrade torch -e ".[test]"
	touch $@

.venv-pyodide/stamp: pyproject.toml
	$(PYTHON) -m pip install --quiet --upgrade --target .venv-pyodide/site lazy_loader rich
	npm install --silent --prefix .venv-pyodide pyodide@314.0.7
	touch $@
