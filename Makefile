# `make mirror` builds the mirror of examples/; `make test` runs all that CI runs. Both make what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help mirror test check format clean

help:
	@echo "make mirror   install pymirror into $(VENV) and mirror what examples/mirror.yaml asks for"
	@echo "make test     everything that CI runs: ruff, mypy, the tests with their coverage"
	@echo "make check    ruff and mypy alone"
	@echo "make format   ruff's formatter over everything"
	@echo "make clean    remove $(VENV) and the caches"

mirror: $(VENV)/installed
	$(BIN)/pymirror sync examples/mirror.yaml
	@echo
	@echo "Install from the mirror, without any network:"
	@echo "  pip install --index-url file://$(CURDIR)/examples/mirror/simple/ requests"
	@echo "or serve it, and use --index-url http://localhost:8000/simple/:"
	@echo "  $(BIN)/pymirror serve examples/mirror"

test: check
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term --durations=10

check: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/developed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pymirror needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# The development tools are a dependency group (PEP 735), which pip 25.1 and newer install.
$(VENV)/developed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@
