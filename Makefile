# Each target is one readable command; `make help` lists them.
PYTHON ?= python3
STORE ?= ladybug
TEACHER ?= reference
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
NEO4J := $(BIN)/python tests/integration/neo4j_server.py
# a process for each core, at most four, since some tests hold a model; each computes on one
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

.PHONY: help demo test test-fast test-long test-vllm test-lm-eval check neo4j neo4j-stop vllm bench bench-teach bench-embedder docs clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	@touch $@

.venv/dev: .venv/core
	$(INSTALL) --editable '.[dev,local]'
	@touch $@

demo: .venv/core  ## tables -> graph -> pump expanded -> corpus, in ./demo (STORE=..., TEACHER=... to change)
	$(BIN)/kgkit load --workspace demo --store $(STORE)
	$(BIN)/kgkit expand --asset pump --workspace demo --store $(STORE) --teacher $(TEACHER)
	$(BIN)/kgkit export demo/corpus --workspace demo --store $(STORE)
	@echo
	@echo "The graph:   $(BIN)/kgkit query 'MATCH (s:Sensor)-[r:RELEVANT_TO {asset: \"pump\"}]->(f:FailureMode) RETURN s.name, r.label, f.name LIMIT 10' --workspace demo"
	@echo "The corpus:  demo/corpus, opens with datasets.load_dataset(\"demo/corpus\", \"kd_base\")"
	@echo "Your tables: $(BIN)/kgkit lint FILE, then $(BIN)/kgkit load FILE --workspace plant"

test: .venv/dev  ## all tests but those on vLLM, lm-evaluation-harness and mteb; starts its own Neo4j, fetches its own weights
	$(PYTEST) -m "not vllm and not long and not lm_eval"

test-fast: .venv/dev  ## tests without servers and models
	$(PYTEST) -m "not vllm and not long and not neo4j and not local"

test-long: .venv/dev  ## long runs: more kill points, more faults, more tables
	$(BIN)/pytest -m long

test-vllm: .venv/dev  ## tests on a real vLLM server, in an environment of its own (.venv-vllm)
	$(BIN)/pytest -m "vllm and not long"

test-lm-eval: .venv/core  ## our scores are those of lm-evaluation-harness and mteb, in an environment of its own (.venv-lm-eval)
	test -x .venv-lm-eval/bin/python || $(PYTHON) -m venv .venv-lm-eval
	$(INSTALL:$(BIN)/%=.venv-lm-eval/bin/%) --editable '.[dev,evaluation]'
	.venv-lm-eval/bin/pytest -m lm_eval

check: .venv/dev  ## lint, format, types, import contracts, dependencies, wheel content
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry kgkit
	$(BIN)/kgkit content check
	$(BIN)/python tests/wheel_content.py

neo4j: .venv/core  ## start a Neo4j on loopback (Docker, else Java and Maven); prints address and password file
	$(NEO4J) start

neo4j-stop: .venv/core  ## stop it
	$(NEO4J) stop

vllm: .venv/dev  ## serve SmolLM2 with vLLM on port 8000 until interrupted
	$(BIN)/kgkit teacher pull smollm2
	$(BIN)/kgkit teacher serve smollm2 --cpu --port 8000

bench: .venv/dev  ## measure speed and memory as ratios; writes benchmarks/results
	$(BIN)/python -m benchmarks

bench-teach: .venv/dev  ## does training help on machines never seen, every family held out in turn; hours
	$(BIN)/python -m benchmarks.leave_one_out benchmarks/work --recipe teach

bench-embedder: .venv/dev  ## does the embedder rank for machines never seen, every family held out in turn; an hour and more
	$(BIN)/python -m benchmarks.leave_one_out benchmarks/work --recipe embedder

docs: .venv/dev  ## run what the documentation shows
	$(BIN)/pytest tests/test_docs.py

clean:  ## remove environments and the demo
	rm -rf .venv .venv-vllm .venv-lm-eval demo
