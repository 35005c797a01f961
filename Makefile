# make            print the targets
# make run        everything from nothing to the dashboard on http://localhost:8501

PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(foreach version,demo-frozen demo-winter demo-autumn,outputs/$(version)/train_all/feature_stats/dinov3_feature_stats.pt)

.PHONY: help run payloads test lint format types messages soak audit check clean
.DEFAULT_GOAL := help

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: payloads ## install, extract what is missing, serve the dashboard on port 8501
	$(BIN)/streamlit run app.py --server.port $(PORT)

payloads: $(DEMO) ## extract the payloads of the embedded default where missing

outputs/demo-autumn/%: CONFIG := configs/train.yaml
outputs/demo-winter/%: CONFIG := configs/train_winter.yaml
outputs/demo-frozen/%: CONFIG := configs/train_frozen.yaml

$(DEMO): | $(VENV)/installed
	$(BIN)/python -m demo
	$(BIN)/python analyze_dinov3_features.py --config $(CONFIG)

test: $(VENV)/installed-dev ## install and run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not soak"

lint: $(VENV)/installed-dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/installed-dev ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/installed-dev ## check the types
	$(BIN)/pyright

messages: $(VENV)/installed-dev ## bring the catalogues up to the texts of the code
	$(BIN)/python .ci/messages.py

soak: $(VENV)/installed-dev ## long randomised kill and resume rounds
	$(BIN)/python -m pytest -m soak

audit: $(VENV)/installed-dev ## look for known vulnerabilities of the pinned packages
	$(BIN)/python .ci/audit.py

check: test lint types audit ## everything that must pass before a change lands

clean: ## remove the environment and the caches (payloads stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@
