"""Bayesian observational scaling laws: credible-interval forecasts of language-model capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_obscaling.lazy import lazy_names

if TYPE_CHECKING:
    from bayes_obscaling import ask, design, evaluation, plots, validation
    from bayes_obscaling.data.ladder import Ladder
    from bayes_obscaling.data.splits import Split
    from bayes_obscaling.data.table import ScoreTable
    from bayes_obscaling.errors import InputError
    from bayes_obscaling.evaluation.backtest import Backtest
    from bayes_obscaling.evaluation.cutoff_study import CutoffStudy
    from bayes_obscaling.evaluation.stacking import stack
    from bayes_obscaling.inference.cache import default_cache_dir
    from bayes_obscaling.models.ladder import LadderSpec
    from bayes_obscaling.models.priors import Priors
    from bayes_obscaling.models.spec import CapabilitySpec
    from bayes_obscaling.pages.page import report
    from bayes_obscaling.results.diagnostics import Diagnosis
    from bayes_obscaling.results.finding import Finding
    from bayes_obscaling.results.fit import CapabilityFit, Fit, LadderFit
    from bayes_obscaling.results.forecast import Forecast
    from bayes_obscaling.results.prior_predictive import prior_predictive
    from bayes_obscaling.results.scenario import Scenario
    from bayes_obscaling.results.score import Scored, score
    from bayes_obscaling.verbs import backtest, check, diagnose, fit, forecast, load, open, read, study

__version__ = "0.2.0"

__all__, __getattr__, __dir__ = lazy_names(__name__, __file__)
