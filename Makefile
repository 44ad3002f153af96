# Type checkers cannot follow setuptools' import hook, so they resolve osupervisor.* through .dev/osupervisor:
# one symlink per folder, not in git.
PACKAGES := supervisor brain bridge vault_store wal config
VENV := .venv
PY   := $(VENV)/bin/python
BASE ?= python3

.PHONY: help setup links
help:                 ## list targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14
setup: $(VENV)/.ready links  ## virtual environment with everything that tests need
$(VENV)/.ready: pyproject.toml
	$(BASE) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q -e . --group dev
	@touch $@
links: $(PACKAGES:%=.dev/osupervisor/%)
.dev/osupervisor/%:
	@mkdir -p $(@D) && ln -sfn ../../$* $@
