# Chuizi's commands. Python 3.11 or newer is all they need; PORT, CHUIZI_STATE_DIR and ARGS may be set.
.DEFAULT_GOAL := help
.PHONY: help run env services test test-agents check bench bench-peers bench-desk fuzz schemathesis histories lock
PY := .venv/bin/python
RUN_STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
# What the settings ask for before a type checker or a linter may import them.
CHECK_ENV := SECRET_KEY=check FIELD_ENCRYPTION_KEY=check DEBUG=True
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## Chuizi with everything it needs, until Ctrl-C; PORT=8000
	@exec $(PY) -m chuizi.local --follow-parent run

env: $(RUN_STAMP) ## the running services' environment: eval "$(make env)"
	@exec $(PY) -m chuizi.local env

services: $(RUN_STAMP) ## PostgreSQL and the broker alone, until Ctrl-C
	@exec $(PY) -m chuizi.local --follow-parent services

test: $(DEV_STAMP) ## the test suite; ARGS="-k wallet"
	@bin/install-chromium
	@bin/install-test-programs
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-agents: $(DEV_STAMP) ## coding agents and SDKs before a running Chuizi; installs them, 3 GB
	@bin/install-agents clients claude-code codex gemini-cli opencode aider
	$(PY) -m pytest tests/agents tests/clients $(ARGS)

check: $(DEV_STAMP) ## format, lint, types, migrations, architecture
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	$(CHECK_ENV) .venv/bin/mypy .
	$(PY) -m chuizi.local with $(PY) manage.py makemigrations --check --dry-run
	.venv/bin/lint-imports

bench: $(DEV_STAMP) ## the money path's benchmarks; SOAK=600 looks at memory for ten minutes
	$(PY) -m chuizi.local --durable with $(PY) -m bench $(if $(SOAK),--soak $(SOAK)) $(ARGS)

bench-peers: $(DEV_STAMP) ## the same load on other gateways
	$(PY) -m chuizi.local --durable with $(PY) -m bench.peers $(ARGS)

bench-desk: $(DEV_STAMP) ## the staff's lists and searches over a million requests
	$(PY) -m chuizi.local with $(PY) -m bench.desk $(ARGS)

fuzz: $(DEV_STAMP) ## look for inputs that break something; SECONDS=60 for each target, ARGS="sse" for some of them
	$(PY) -m fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

schemathesis: $(DEV_STAMP) ## the account API against its description, in sequences too; SECONDS=600
	SCHEMATHESIS_SECONDS=$(or $(SECONDS),600) $(PY) -m pytest tests/api/reference/test_schemathesis.py $(ARGS)

histories: $(DEV_STAMP) ## random histories of money, the audit after each step; SECONDS=3600
	HISTORIES_SECONDS=$(or $(SECONDS),3600) $(PY) -m pytest -x tests/histories $(ARGS)

lock: ## compile requirements*.txt anew; UPGRADE=--upgrade takes newer versions
	uv $(COMPILE) $(UPGRADE) requirements.in --output-file requirements.txt
	uv $(COMPILE) $(UPGRADE) -c requirements.txt requirements-local.in --output-file requirements-local.txt
	uv $(COMPILE) $(UPGRADE) -c requirements-local.txt requirements-dev.in --output-file requirements-dev.txt

# Each of the three holds everything that the one before it does: requirements.txt, -local, -dev.
$(RUN_STAMP): requirements-local.txt bin/venv
	@bin/venv requirements-local.txt
	@touch $@

$(DEV_STAMP): requirements-dev.txt bin/venv
	@bin/venv requirements-dev.txt
	@touch $(RUN_STAMP) $@
