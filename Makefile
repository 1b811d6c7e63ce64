# `make help` lists the targets. Every setting of the platform may be given in the environment: PORT=9000 make run
SHELL := /bin/bash
BIN := .venv/bin
# Each of these has a stack of its own: about 1.5 GB.
JOBS ?= 2
# The models are on this machine: never ask a hub for them.
export HF_HUB_OFFLINE ?= 1
# The recipes `exec` what runs long, so that a signal to make reaches it and not a shell in between.

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install everything into .venv and prepare the models (fast when nothing changed)
	@exec scripts/setup.sh

.PHONY: demo
demo: setup ## Start everything, play a sample conversation, keep serving until Ctrl-C
	@exec $(BIN)/agent-memory demo

.PHONY: run
run: setup ## Start everything and serve until Ctrl-C (PORT, DATA_DIR, REDIS_URL, …)
	@exec $(BIN)/agent-memory up

.PHONY: dev
dev: ## Install what tests and checks need as well
	@exec scripts/setup.sh dev

.PHONY: test
test: dev ## Run the whole test suite, two files at a time (ARGS="-k name" for a part of it, JOBS=0 for one at a time)
	@exec $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

.PHONY: lint
lint: dev ## Check style, formatting and the import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@exec $(BIN)/lint-imports

.PHONY: typecheck
typecheck: dev ## Check types
	@exec $(BIN)/mypy

.PHONY: audit
audit: dev ## Ask the vulnerability databases about all pinned dependencies (needs the internet)
	@exec $(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip --strict --progress-spinner off

.PHONY: quality
quality: dev ## Measure extraction, grounding and retrieval against the gold sets
	@exec $(BIN)/python -m pytest -m quality $(ARGS)

.PHONY: test-llm
test-llm: dev ## Test the model at OPENAI_BASE_URL / OPENAI_API_KEY (GENERATION_MODEL): schema, grounding, quality
	@exec env TEST_LLM=1 $(BIN)/python -m pytest -m llm tests/llm tests/quality/test_extraction.py $(ARGS)

.PHONY: bench
bench: dev ## Measure latency and throughput of the routes (ARGS="--memories 50000 --concurrency 1,8,32")
	@exec $(BIN)/python -m tests.load.bench $(ARGS)

.PHONY: settings
settings: dev ## Write the table of all settings into docs/configuration.md
	@sed -i '/^| variable/,$$d' docs/configuration.md && $(BIN)/agent-memory settings >> docs/configuration.md

.PHONY: docs
docs: dev ## Build the documentation into site/index.html
	@exec $(BIN)/mkdocs build --strict

.PHONY: clean
clean: ## Delete caches and build products; data (.data) and the environment (.venv) stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov build dist site clients/java/target clients/javascript/dist
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
