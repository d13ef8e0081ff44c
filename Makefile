# `make mirror` builds the mirror of examples/; `make test` runs all that CI runs. Both make what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECKER := vnu-jar@26.9.27
FUZZ_SECONDS ?= 60
BENCH ?= --preset small --rounds 3

.PHONY: help mirror test check clients validate format clean

help:
	@echo "make mirror   install pymirror into $(VENV) and mirror what examples/mirror.yaml asks for"
	@echo "make test     everything that CI runs: ruff, mypy, the tests with their coverage"
	@echo "make check    ruff and mypy alone"
	@echo "make clients  let every client install through every server, and write the table of docs/clients.md"
	@echo "make validate every page of the example's mirror before the HTML checker of the W3C (needs java and npm)"
	@echo "make crash    a kill before every call that changes the tree, and hundreds at random times"
	@echo "make fuzz     the parsers of pages against a fuzzer, $(FUZZ_SECONDS) s each"
	@echo "make bench    the hot functions, and whole runs beside curl: ratios ($(BENCH))"
	@echo "make format   ruff's formatter over everything"
	@echo "make clean    remove $(VENV) and the caches"

mirror: $(VENV)/installed
	$(BIN)/pymirror sync examples/mirror.yaml
	@echo
	@echo "Install from the mirror, without any network:"
	@echo "  pip install --index-url file://$(CURDIR)/examples/mirror/simple/ requests"
	@echo "or serve it, and use --index-url http://localhost:8000/simple/:"
	@echo "  $(BIN)/pymirror serve examples/mirror"

test: check tools
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report=term --durations=10

# What the tests need beside the packages: the clients, each in an environment of its own, and the HTML checker.
# Without npm, the tests that need the checker are skipped.
.PHONY: tools
tools: $(VENV)/developed
	$(BIN)/python scripts/clients.py install
	@$(MAKE) --no-print-directory .tools/vnu.jar || echo "no HTML checker: npm is not there, or cannot reach its registry"

clients: tools
	$(BIN)/python scripts/clients.py run --write docs/clients.md

validate: mirror .tools/vnu.jar
	cd examples/mirror && java -jar ../../.tools/vnu.jar --errors-only --skip-non-html index.html links.html simple project

.tools/vnu.jar:
	@mkdir -p .tools
	cd .tools && npm pack --silent $(CHECKER) >/dev/null && tar xzf vnu-jar-*.tgz package/build/dist/vnu.jar
	@mv .tools/package/build/dist/vnu.jar $@ && rm -rf .tools/package .tools/vnu-jar-*.tgz

# Everything that `make test` does a share of: minutes.
.PHONY: crash
crash: $(VENV)/developed
	PYMIRROR_CRASH=all $(BIN)/pytest -n auto tests/test_crash.py tests/test_machine.py tests/test_concurrent.py

# atheris has no wheel for every Python; FUZZ_SECONDS=600 makes it longer.
.PHONY: fuzz
fuzz: $(VENV)/developed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	for target in json html lists legacy filename; do \
	  $(BIN)/python -m fuzz $$target -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 || exit 1; \
	done

# Needs nginx, openssl and curl, and a quiet machine; everything is on loopback. docs/performance.md says more.
.PHONY: bench
bench: $(VENV)/developed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python -m benchmarks.hot
	$(BIN)/python -m benchmarks.whole $(BENCH)

check: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/developed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .clients .tools .mypy_cache .ruff_cache .pytest_cache .coverage

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
