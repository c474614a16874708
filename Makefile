# Everything from a bare checkout with Python 3.11 or newer: `make demo` to try it, `make test` to prove it.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: setup demo check check-deps test test-all chaos mutants bench lock editor clean

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Runbook Bot needs Python 3.11 or newer; this is %d.%d. Name another one: make PYTHON=python3.11" % sys.version_info[:2])'
	@echo "Setting up .venv (once; half a minute or so)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.ready requirements-dev.lock
	@echo "Adding what the tests need"
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

demo: .venv/.ready
	@$(BIN)/python -P -m bot.demo $(if $(ONCE),--once)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Of its own environment, so that what checks the packages is no part of them.
.venv-deps/.ready: requirements-deps.lock
	@echo "Setting up .venv-deps"
	@test -x .venv-deps/bin/python || $(PYTHON) -m venv .venv-deps
	@.venv-deps/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r requirements-deps.lock
	@touch $@

# Writes var/sbom.json, and fails where something is known to be unsafe or nobody can be asked (exit code 75).
check-deps: .venv-deps/.ready
	.venv-deps/bin/python .ci/deps.py $(DEPS_FLAGS)

# Most tests wait for something, so there are more of pytest's workers than cores. The tests of one file stay together.
AT_ONCE := -n 4 --dist loadfile --no-loadscope-reorder

test: .venv/.dev
	$(BIN)/pytest $(AT_ONCE) -m "not slow"

# What is slow and fails beside others is run once more alone, and named at the end.
test-all: test
	$(BIN)/python .ci/slow.py

# Both take a minute: SECONDS=300 for longer, SEED=7 for what happened then.
chaos: .venv/.dev
	CHAOS_SECONDS=$(or $(SECONDS),60) CHAOS_SEED=$(SEED) $(BIN)/pytest tests/chaos/test_chaos.py

# N=50 makes it shorter; docs/performance.md says what the figures mean.
bench: .venv/.dev
	$(BIN)/python -m bench.run -n $(or $(N),200)

.venv/.mutants: .venv/.dev requirements-mutants.lock
	@$(PIP) install --quiet --require-hashes -r requirements-mutants.lock
	@touch $@

# N=30 makes it shorter, SEED=7 takes the same again; docs/testing.md says what the figures mean.
mutants: .venv/.mutants
	N=$(or $(N),100) SEED=$(SEED) $(BIN)/python tests/mutants.py

# Needs uv. The lock files name packages, versions and hashes, and no place to fetch them from.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --group dev pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --group dev --group test pyproject.toml -c requirements.lock -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --group dev --group test --group mutants pyproject.toml -c requirements-dev.lock -o requirements-mutants.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --group deps -o requirements-deps.lock

# Needs npm. The editor component of /studio, built of exactly the packages in its lock file, which names no place either.
editor:
	cd .ci/editor && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent build && rm -r node_modules
	mv .ci/editor/codemirror.js bot/page/static/

clean:
	rm -rf .venv .venv-deps var build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
