BIN := .venv/bin
ARGS :=
SEEDS := 1000

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo up services node test unit contract integration deploy faults e2e simulate soak mutants bench bench-memory bench-consume bench-reconcile bench-subscribers peers lint fix verify audit clean

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

services: ## install the servers and tools that the tests need, or say how
	@scripts/services.sh

node: services ## install what the tests run in Node.js; instant when nothing changed
	@scripts/node.sh

test: setup services node lint verify $(if $(CI),audit) ## checks, then every test that is not slow; in CI the audit too
	$(BIN)/pytest tests -m "not slow" $(ARGS)

unit: setup ## pure rules; seconds
contract: setup ## every adapter keeps the promises of its port
integration: setup ## real PostgreSQL and RabbitMQ
deploy: setup services ## alert rules, boards, units, compose and Kubernetes files by their own tools
faults: setup ## killed, frozen and restarted processes and servers, the slow ones too
e2e: setup ## the command line, from the first order to the report, the slow tests too
unit contract integration deploy faults e2e:
	$(BIN)/pytest tests/$@ $(ARGS)

simulate: setup ## SEEDS of the whole hub against a world that does its worst
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) --processes $$(nproc) $(ARGS)

soak: setup services ## twenty minutes of orders with a fault every half minute; ARGS='--minutes 2' for less
	@$(BIN)/python -m tests.soak $(ARGS)

mutants: setup ## plant bugs in a copy, and see which test finds each
	$(BIN)/python -m tests.mutants.run $(ARGS)

peers: setup
	@scripts/bench.sh

bench: peers services ## the hub side by side with other tools, one table in ten minutes; ARGS='--only relay' for less
	@$(BIN)/python -m benchmarks $(ARGS)

bench-memory: setup services ## whether any process grows in ten minutes at 200 events a second
	@$(BIN)/python -m benchmarks.memory $(ARGS)

bench-consume: setup services ## orders a second over HTTP to a system that takes 50 ms for a call
	@$(BIN)/python -m benchmarks.consume_http $(ARGS)

bench-reconcile: peers services ## the nightly comparison side by side with reladiff
	@$(BIN)/python -m benchmarks.reconcile $(ARGS)

bench-subscribers: setup services ## the relay's rate to the systems while a subscriber reads, has stopped, loses events
	@$(BIN)/python -m benchmarks.subscribers $(ARGS)

lint: setup ## style, types and layers; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy hub
	$(BIN)/lint-imports

fix: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

verify: setup ## generated files are current, and events break no promise of the newest release
	@tags=$$(git tag --list 'v[0-9]*' --merged HEAD --sort=-version:refname) || test "$$CI" != true || exit 1; \
	set -- $$tags; \
	echo "schemas of events are held against $${1:-the files on disk alone: there is no release tag}"; \
	$(BIN)/hub verify $${1:+--against "$$1"}

audit: setup ## list what the hub runs on (dist/sbom.cdx.json) and ask whether a hole of it is known
	@scripts/audit.sh

clean: ## remove .venv, caches and builds
	rm -rf .venv .bench-venv .audit-venv tests/node/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
