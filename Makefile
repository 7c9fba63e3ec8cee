# make forecast: the first forecast, on real data.   make test: the quick tests.   Both set up what they need.
# make docs: the documentation, into site/.   make page: docs/frontier.html, of the fit that ships.   make record: measure how good forecasts are (hours), and write the tables.
PYTHON ?= python3
VENV ?= .venv
TASK ?= word_unscrambling
CUTOFF ?= 8.4e22
# Processes of `make test`; each keeps a core busy and takes up to 4 GB.
WORKERS ?= 2

.PHONY: forecast test lint docs page record

forecast: $(VENV)/.installed
	$(VENV)/bin/bayes-obscaling forecast --task $(TASK) --cutoff-flops $(CUTOFF) --cohort paper --output forecast.csv --plot forecast.png

test: $(VENV)/.tested
	$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadscope

lint: $(VENV)/.tested
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/.documented
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

page: $(VENV)/.tested
	$(VENV)/bin/bayes-obscaling report frontier --output docs/frontier.html --title "The frontier as of November 2026" --task gpqa_diamond,frontiermath_v2,swe_bench_verified,simpleqa_verified,chess_puzzles,bp_hle --family GPT --family "Claude Opus" --family "Gemini Pro" --family new --date 2026-12

record: $(VENV)/.installed
	$(VENV)/bin/python scripts/record.py --run backtests

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.tested: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.documented: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@ $(VENV)/.installed
