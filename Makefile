# make forecast: the first forecast, on real data.   make test: the quick tests.   Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
TASK ?= word_unscrambling
CUTOFF ?= 8.4e22

.PHONY: forecast test lint record

forecast: $(VENV)/.installed
	$(VENV)/bin/bayes-obscaling forecast --task $(TASK) --cutoff-flops $(CUTOFF) --output forecast.csv --plot forecast.png

test: $(VENV)/.tested
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.tested
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

record: $(VENV)/.installed
	$(VENV)/bin/bayes-obscaling backtest --suite published --output backtests

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.tested: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.installed
