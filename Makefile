# Everything a checkout needs; a bare `make` lists the targets.
#   PYTHON=...       the interpreter that .venv is made from (3.11 or 3.12; found by itself)
#   PIP_ARGS=...     passed to every pip install; PIP_ARGS=-vv shows what pip does
#   PYTEST_ARGS=...  passed to pytest, e.g. PYTEST_ARGS="tests/leaderboard -x"
#   WORKERS=3        pytest processes; on two cores, since tests wait for services a good part of their time
#   AGAINST=REF      the commit that `make same` and `make bench` compare with
#   BENCH_ARGS=...   passed to the comparison of `make bench`, e.g. BENCH_ARGS="--only ua_mt/train"

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
STAMP := .venv/.installed
PIP := -m pip --disable-pip-version-check install -qq --no-build-isolation
WORKERS ?= 3
# One thread a process: OpenMP's spinning threads cost far more than they bring on a busy machine.
ONE_THREAD := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

PYTHON_CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3 python)
# Prints the first candidate that is a 3.11 or 3.12 and can make environments; 3.11 comes first: the pins are its own.
define FIND_PYTHON
for python in $(PYTHON_CANDIDATES); do \
  if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; \
  then echo "$$python"; exit 0; fi; \
done; \
echo 'error: no Python 3.11 or 3.12 that can make environments among: $(PYTHON_CANDIDATES).' \
  'Install one (Debian: apt-get install python3.11 python3.11-venv) or name one: make PYTHON=/path/to/python3.11' >&2; \
exit 1
endef

.PHONY: help venv demo check test lint docs format bench same chaos constraints clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	  printf '  make %-12s %s\n' "$$target" "$$text"; done

venv: $(STAMP) ## make the environment in .venv from constraints.txt (again only when the pins change)
	@echo 'venv: ready in .venv'

$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c '' 2>/dev/null; then \
	  python=$$($(FIND_PYTHON)); \
	  echo "venv: making .venv with $$python ($$("$$python" -V))"; \
	  "$$python" -m venv --clear .venv; \
	fi
	@echo 'venv: installing the pins of constraints.txt (2.3 GB on disk with a CPU torch; a few minutes the first time)'
	@$(BIN)/python $(PIP) $(PIP_ARGS) -c constraints.txt setuptools
	@$(BIN)/python $(PIP) $(PIP_ARGS) -c constraints.txt -e '.[test]'
	@touch $@

demo: venv ## run the main job on generated phantoms, down to a leaderboard
	@echo 'demo: python -m harness run --suite demo'
	@$(BIN)/python -m harness run --suite demo

# Two tiers; tests/conftest.py says which test is in which.
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal --durations=15

check: lint ## before each commit: lint, then the quick tests that need no service (2 minutes on two cores)
	@$(PYTEST) -m 'not service and not slow' $(PYTEST_ARGS)

test: lint ## before each push: lint, then all tests (15 minutes; Slurm, Chromium, PostgreSQL where installed)
	@$(PYTEST) $(PYTEST_ARGS)

lint: venv ## ruff (rules and format) and mypy --strict
	@echo 'lint: ruff check, ruff format --check, mypy --strict'
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: venv ## build the documentation into docs/_build/html; a warning is an error
	@$(BIN)/python $(PIP) $(PIP_ARGS) -c constraints.txt -e '.[docs]'
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo 'docs: docs/_build/html/index.html'

format: venv ## let ruff sort imports and format
	@$(BIN)/ruff check --select I --fix
	@$(BIN)/ruff format

bench: venv ## measure what the design promises (seconds per step); AGAINST=REF: steps beside a commit's
	@$(BIN)/python -m tests.bench $(if $(AGAINST),--against $(AGAINST) $(BENCH_ARGS))

same: venv ## compare weights, test cases and validations with those of another commit (AGAINST=REF, else main)
	@$(ONE_THREAD) $(BIN)/python -m tests.bench.same_numbers $(if $(AGAINST),--against $(AGAINST))

chaos: venv ## kills, damaged records, bad inputs and full disks for MINUTES=10; what held adds up in tests/chaos
	@nice -n 15 $(BIN)/python -m tests.chaos $(or $(MINUTES),10)

constraints: ## resolve the newest versions that pyproject.toml allows and write constraints.txt, and their hashes
	@python=$$($(FIND_PYTHON)); \
	rm -rf .cache/resolve; "$$python" -m venv .cache/resolve; \
	torch=$$(sed -n 's/^torch==/torch==/p' constraints.txt); \
	echo "constraints: resolving with $$torch; raise that pin by hand when a newer release was tested"; \
	.cache/resolve/bin/python $(PIP) $(PIP_ARGS) --upgrade setuptools; \
	.cache/resolve/bin/python $(PIP) $(PIP_ARGS) "$$torch" -e '.[test,docs]'; \
	{ grep '^#' constraints.txt; \
	  .cache/resolve/bin/python -m pip freeze --all --exclude-editable --exclude pip \
	    | sed 's/^\(torch==[^+]*\)+.*/\1/' | LC_ALL=C sort -f; } >.cache/constraints.txt; \
	if grep -n ' @ ' .cache/constraints.txt; then echo 'error: pins by address, not by version' >&2; exit 1; fi; \
	mv .cache/constraints.txt constraints.txt; \
	.cache/resolve/bin/python container/hashes.py >.cache/requirements.txt; \
	mv .cache/requirements.txt container/; rm -rf .cache/resolve; git diff --stat constraints.txt container

clean: ## remove the environment and caches; records under runs/ stay
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build ./*.egg-info
	find harness methods benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
