# The vocabulary that people and .ci/run share; `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# bytecode is worth 10 s at every start; some machines turn it off
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
DAYS  ?= 120
CELLS ?= 20

.DEFAULT_GOAL := help

.PHONY: help install demo test test-operators test-ui check history bench ceilings calibrate ui notebook deploy clean lock schemas onboard layout audit env up down

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.txt deployments/pip.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "rancast needs Python 3.11 to 3.13; $$($(PYTHON) --version) is $(PYTHON). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Installing rancast and its pinned libraries into $(VENV) (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@# a pip that resolves our locks: that of Python 3.11 takes no extra of a library that is not the newest
	@$(BIN)/python -m pip install --quiet --require-hashes -r deployments/pip.txt
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	@# setuptools warns after every editable install of folders with a package's name; here these are the packages
	@$(BIN)/python -W "ignore:Editable installation" -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.installed: package-lock.json $(VENV)/.installed
	@echo "Installing Azurite for the tests ..."
	@npm ci --silent --no-fund --no-audit
	@touch $@

install: $(VENV)/.installed node_modules/.installed  ## install everything, Azurite for the tests included

demo: $(VENV)/.installed  ## simulate raw files, run the main job on them, say what came out (DAYS=121 adds a day)
	@$(BIN)/python -m deployments.demo --days $(DAYS) --cells $(CELLS) $(if $(USE_CASES),--use-cases $(USE_CASES))

ui: $(VENV)/.installed  ## open the Prefect and MLflow UIs on the last run, with a worker
	@$(BIN)/python -m deployments.ui

notebook: $(VENV)/.installed  ## open JupyterLab on notebooks/, which read the lake and compare champions
	@$(BIN)/python -m jupyterlab notebooks

deploy: $(VENV)/.installed  ## put pools, deployments and automations on the server of PREFECT_API_URL
	@$(BIN)/python -m deployments.deploy

test: $(VENV)/.installed node_modules/.installed  ## run the tests, on real servers
	@# three for two cores, since many a test waits for a server
	@$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m "not ui and not operators" $(PYTEST)

test-operators: $(VENV)/.installed node_modules/.installed  ## run the tests that need workers, or the whole stack
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "operators and not ui" $(PYTEST)

CHROMIUM := /usr/bin/chromium
$(CHROMIUM):
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Debian's Chromium ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu-core >/dev/null; \
	else echo "$(CHROMIUM) is missing; install it, on Debian with: sudo apt-get install chromium fonts-dejavu-core"; exit 1; fi

test-ui: $(VENV)/.installed $(CHROMIUM)  ## drive both UIs with a real browser (SCREENSHOTS=1 renews docs/img)
	@$(BIN)/python -m pytest -m ui $(if $(SCREENSHOTS),--screenshots docs/img) tests/ui $(PYTEST)

check: $(VENV)/.installed  ## formatting, lint, types
	$(BIN)/black --check --quiet flows tasks rancast tests deployments benchmarks
	$(BIN)/flake8 flows tasks rancast tests deployments benchmarks
	$(BIN)/mypy

history: $(VENV)/.installed  ## who was champion when and why (USE_CASE=..., at one time: AT=2024-03-20T05:00)
	@$(BIN)/python -m deployments.history "$(USE_CASE)" $(if $(AT),"$(AT)")

bench: $(VENV)/.installed  ## time the main job beside a plain script that does the same work
	@$(BIN)/python -m benchmarks.main_job

ceilings: $(VENV)/.installed  ## model quality on simulated data beside the best that is possible there
	@$(BIN)/python -m benchmarks.ceilings

calibrate: $(VENV)/.installed  ## how often the promotion rule is wrong, on simulated data whose truth is known
	@$(BIN)/python -m benchmarks.calibration

COMPILE := uv pip compile --no-strip-extras --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" --quiet

lock: $(VENV)/.installed  ## compile requirements.txt, the image's and pip's own, from the ranges in pyproject.toml
	$(BIN)/$(COMPILE) pyproject.toml --all-extras -o requirements.txt
	$(BIN)/$(COMPILE) pyproject.toml --constraint requirements.txt -o deployments/requirements.txt
	echo "pip>=26.3" | $(BIN)/$(COMPILE) - -o deployments/pip.txt

onboard: $(VENV)/.installed  ## draft YAML and a suite: DATA=folder NAME=dataset (USE_CASE=name)
	@test -n "$(DATA)" -a -n "$(NAME)" || { echo "Say which files and under what name: make onboard DATA=folder NAME=dataset"; exit 1; }
	@$(BIN)/python -m deployments.onboard "$(DATA)" "$(NAME)" $(if $(USE_CASE),--use-case "$(USE_CASE)")

layout: $(VENV)/.installed  ## put files into folders of UTC days: DATA=folder NAME=dataset (TO=folder, DAY=date)
	@test -n "$(DATA)" -a -n "$(NAME)" || { echo "Say which files of which dataset: make layout DATA=folder NAME=dataset"; exit 1; }
	@$(BIN)/python -m deployments.layout "$(DATA)" "$(NAME)" $(if $(TO),--to "$(TO)") $(if $(DAY),--day "$(DAY)")

audit: $(VENV)/.installed  ## look for leaks in a table: DATA=file TARGET=column (TIME=column, ENTITY=column)
	@test -n "$(DATA)" -a -n "$(TARGET)" || { echo "Say which table and which label: make audit DATA=file TARGET=column"; exit 1; }
	@$(BIN)/python -m deployments.audit "$(DATA)" "$(TARGET)" $(if $(TIME),--time "$(TIME)") $(if $(ENTITY),--entity "$(ENTITY)")

env:  ## write .env with a random value for each secret of the stack that it lacks
	@$(PYTHON) deployments/stack.py env

up:  ## build and start the stack of docker-compose.yml, and wait until it is healthy
	@$(PYTHON) deployments/stack.py up

down:  ## stop the stack; what it stored stays
	@$(PYTHON) deployments/stack.py down

schemas: $(VENV)/.installed  ## write the JSON schemas of datasets and use cases, for editors
	@$(BIN)/python -m rancast.schemas docs/schemas

clean:  ## remove what the demo, the tests and the tools left, but not the installation
	rm -rf .local .pytest_cache .mypy_cache .hypothesis build *.egg-info
	find flows tasks rancast tests deployments benchmarks -name __pycache__ -prune -exec rm -rf {} +
