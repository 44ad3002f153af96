# Everything that is done with this repository, from a fresh machine with Python 3.11 or newer on.
# Type checkers cannot follow setuptools' import hook, so they resolve osupervisor.* through .dev/osupervisor:
# one symlink per folder, not in git.
PACKAGES := supervisor brain bridge vault_store wal config
VENV := .venv
BIN  := $(VENV)/bin
PY   := $(BIN)/python
# The first Python that is new enough; `make setup BASE=/path/to/python` takes another.
BASE ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
	$(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
PACKER := examples/packer/osupervisor.toml
DRIVE  := $(PY) examples/packer/drive.py
# Beside the environment for development: a compiled module would hide the source that is edited.
COMPILED := .venv-compiled
CPY      := $(COMPILED)/bin/python
SOURCES  := $(shell find $(PACKAGES) -name '*.py')
KILLS  ?= 100
SEEDS  ?= 2000
# Tests wait for processes half of the time, so two at once take little more of each other. `make test WORKERS=`: one by one.
WORKERS ?= -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup links start test check format lint types imports compiled test-compiled bench chaos simulate repl wheel clean version

help:                 ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(VENV)/.ready links  ## virtual environment with everything that tests need
$(VENV)/.installed: pyproject.toml
	@test -n "$(BASE)" || { echo "no Python 3.11 or newer was found: install one, or give BASE=/path/to/python"; exit 1; }
	test -x $(PY) || $(BASE) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
	$(PY) -m pip install -q -e .
	@touch $@
$(VENV)/.ready: $(VENV)/.installed
	$(PY) -m pip install -q --group dev
	@touch $@
links: $(PACKAGES:%=.dev/osupervisor/%)
.dev/osupervisor/%:
	@mkdir -p $(@D) && ln -sfn ../../$* $@

start: $(VENV)/.installed  ## the packer service: packs one instance, is killed once on the way, serves on until ^C
	@if $(BIN)/osupervisor status --config $(PACKER) >/dev/null 2>&1; then \
		echo "the packer service runs already: $(BIN)/osupervisor stop --config $(PACKER)"; exit 1; fi
	@( $(BIN)/osupervisor status --config $(PACKER) --wait ready --timeout 60s >/dev/null 2>&1 \
		&& $(DRIVE) or4_u1000 --chaos 1 \
		&& echo "serving on; ^C stops it. In another terminal: $(BIN)/osupervisor status --config $(PACKER)" ) & \
	exec $(BIN)/osupervisor start --config $(PACKER)

test: setup           ## all tests of the normal run
	$(PY) -m pytest -q $(WORKERS)

check: lint types imports  ## everything that reads the code
format: setup         ## write every file in the one format
	$(PY) -m ruff format . && $(PY) -m ruff check --fix .
lint: setup           ## format and style
	$(PY) -m ruff format --check . && $(PY) -m ruff check .
types: setup          ## mypy and pyright, both strict
	$(PY) -m mypy && $(PY) -m pyright
imports: setup        ## direction, circles, pure cores
	$(BIN)/lint-imports

compiled: $(COMPILED)/.installed  ## .venv-compiled: an installation whose hot modules are compiled (wants a C compiler)
$(CPY):
	$(BASE) -m venv $(COMPILED)
	$(CPY) -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
$(COMPILED)/.ready: pyproject.toml | $(CPY)
	$(CPY) -m pip install -q -e . --group dev --group bench "setuptools>=80"
	@touch $@
$(COMPILED)/.installed: $(COMPILED)/.ready setup.py $(SOURCES)
	rm -rf build
	$(CPY) -m pip uninstall -q -y osupervisor  # or mypy reads the older one's modules beside the new
	COMPILE_OSUPERVISOR=1 $(CPY) -m pip install -q --no-build-isolation --no-deps --force-reinstall .
	@touch $@

test-compiled: compiled  ## the tests of what is compiled, on the compiled modules
	$(CPY) -m pytest -q $(WORKERS) tests/supervisor/core tests/bridge tests/brain tests/simulation tests/wal/test_record.py tests/end_to_end

bench: compiled       ## every benchmark beside its floor or peer, into benchmarks/RESULTS.md; BENCH=--quick looks only
	$(CPY) benchmarks/run_all.py $(BENCH)
simulate: setup       ## the core among simulated brains, disk and clock: SEEDS (2000) seeds
	$(PY) -m tests.simulation --seeds $(SEEDS)
chaos: $(VENV)/.installed  ## pack every published instance while the brain is killed KILLS times (100)
	@data=$$(mktemp -d) && trap "$(BIN)/osupervisor stop --data $$data; rm -rf $$data" EXIT \
		&& $(BIN)/osupervisor start --config $(PACKER) --data $$data --daemon \
		&& $(DRIVE) --data $$data --all --chaos $(KILLS)
repl: $(VENV)/.installed  ## a Python prompt that talks to the packer service
	$(BIN)/osupervisor repl --config $(PACKER)
wheel: setup          ## a wheel and a source archive in dist/
	$(PY) -m build
version: $(VENV)/.installed  ## what is installed
	@$(BIN)/osupervisor version
clean:                ## remove caches and built files; data and the virtual environment stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
