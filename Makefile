# Everything runs from .venv, which `.ci/setup` makes on first use; PYTHON=… chooses the interpreter for it.
# make itself reports any failure as 2; for a command's own exit code call it directly, as `make demo` shows.
SHELL := /bin/sh
PY := .venv/bin/python
export PYTHON
# Compiled modules are kept, whatever the environment says: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE
# One more than cores, as a quarter of the time a test waits for a process or the clock.
WORKERS = -n 3 --dist worksteal
# What leans on how uvicorn, starlette and msgspec work inside.
ON_VERSIONS = tests/mock_server/contract/test_reading.py $(addprefix tests/mock_server/http/test_, added_headers.py \
	answers.py disconnects.py foreign.py headers.py heads.py parity.py player.py protocol.py reception.py streaming.py)
.DEFAULT_GOAL := help
.PHONY: help docs demo test test-versions zoo lint format bench lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

demo: ## set up, load the mock for 30 s at 20 requests/s, print the verdict and where the report is
	@.ci/setup all
	.venv/bin/load-test run steady --duration 30s --rate 20

test: lint ## set up, check style and types, run every test (what CI runs)
	@tests/ensure_programs.sh
	$(PY) -m pytest -q $(WORKERS) -m "not alone"
	$(PY) -m pytest -q -m alone

test-versions: ## run the mock's tests on the lowest and the newest versions of its dependencies that are allowed
	@.ci/setup dev
	@tests/ensure_programs.sh
	$(PY) -m tests.versions -q $(WORKERS) $(ON_VERSIONS)

zoo: ## install the real clients that tests/zoo runs, each kind in an environment of its own (once; KINDS=python for one kind)
	@.ci/setup dev
	@zoo/install $(KINDS)

lint: ## check style, formatting and types
	@.ci/setup dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: ## apply formatting and safe fixes
	@.ci/setup dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

docs: ## make the parts of the documentation anew that derive from the code
	@.ci/setup dev
	$(PY) docs/generate.py
	$(PY) -m mock_server.page > docs/api.html

bench: ## measure mock and load generator: throughput, accuracy, start-up, memory (minutes; wants a quiet machine)
	@.ci/setup all
	$(PY) -m benchmarks.throughput
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.startup_memory
	$(PY) -m benchmarks.generator

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock' $(FLAGS)
UV ?= uv
lock: ## pin the dependencies again after a change in pyproject.toml (needs uv; FLAGS=--upgrade for the newest)
	@command -v $(UV) >/dev/null || { echo "lock: needs uv; pip install uv, or name it: make lock UV=/path/to/uv" >&2; exit 2; }
	$(COMPILE) pyproject.toml --extra all --group dev --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --extra all --group build --constraint requirements-dev.lock --output-file requirements.lock
	$(COMPILE) --output-file zoo/python/requirements.txt zoo/python/requirements.in
	$(COMPILE) --output-file zoo/go/requirements.txt zoo/go/requirements.in
	@command -v npm >/dev/null || { echo "lock: npm is not installed, so zoo/node/package-lock.json stays as it is" >&2; exit 2; }
	cd zoo/node && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

clean: ## remove .venv and everything else that was built here; runs/ stays
	rm -rf .venv .zoo zoo/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
