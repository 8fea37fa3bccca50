BIN := .venv/bin
ARGS :=
SEEDS := 1000

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo up services test unit contract integration faults e2e simulate mutants bench bench-reconcile lint fix verify clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## install the runtime and show the whole hub at work; ARGS are passed on
	@scripts/venv.sh
	@$(BIN)/hub demo $(ARGS)

up: ## install the runtime and start the hub; ARGS are passed on
	@scripts/venv.sh
	@$(BIN)/hub up $(ARGS)

setup: ## make .venv with everything for development; instant when nothing changed
	@scripts/venv.sh test,lint

services: ## install RabbitMQ and PostgreSQL for the tests, or say how
	@scripts/services.sh

test: setup services lint verify ## checks, then every test that is not slow
	$(BIN)/pytest tests -m "not slow" $(ARGS)

unit: setup ## pure rules; seconds
contract: setup ## every adapter keeps the promises of its port
integration: setup ## real PostgreSQL and RabbitMQ
faults: setup ## killed, frozen and restarted processes and servers, the slow ones too
e2e: setup ## the command line, from the first order to the report, the slow tests too
unit contract integration faults e2e:
	$(BIN)/pytest tests/$@ $(ARGS)

simulate: setup ## SEEDS of the whole hub against a world that does its worst
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) --processes $$(nproc) $(ARGS)

mutants: setup ## plant bugs in a copy, and see which test finds each
	$(BIN)/python -m tests.mutants.run $(ARGS)

bench: bench-reconcile ## every measurement; each takes minutes

bench-reconcile: setup services ## the nightly comparison side by side with reladiff
	@test -x .bench-venv/bin/python || python3 -m venv .bench-venv
	@.bench-venv/bin/pip install -qq --disable-pip-version-check reladiff==0.6.0 psycopg2-binary
	@$(BIN)/python -m benchmarks.reconcile $(ARGS)

lint: setup ## style, types and layers; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hub
	$(BIN)/lint-imports

fix: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

verify: setup ## generated files are current
	$(BIN)/hub verify

clean: ## remove .venv, caches and builds
	rm -rf .venv .bench-venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
