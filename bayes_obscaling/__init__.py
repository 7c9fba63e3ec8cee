"""Bayesian observational scaling laws: credible-interval forecasts of language-model capability."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public name -> module. Imported on first use, so that a command that needs no sampler does not wait for JAX.
_PUBLIC = {
    "Backtest": "evaluation.backtest",
    "CapabilitySpec": "models.capability",
    "CutoffStudy": "evaluation.cutoff_study",
    "Diagnosis": "results.diagnostics",
    "Fit": "results.fit",
    "Forecast": "results.forecast",
    "InputError": "errors",
    "Ladder": "data",
    "LadderSpec": "models.ladder",
    "NewTask": "design.selection",
    "Priors": "models.priors",
    "Scenario": "results.forecast",
    "ScoreTable": "data",
    "Split": "data",
    "Target": "results.ladder_forecast",
    "anomalies": "analyses.anomalies",
    "backtest": "evaluation.backtest",
    "backtest_ladder": "evaluation.ladder_backtest",
    "check_gain": "analyses.interventions",
    "check_latent_compute": "analyses.latent_compute",
    "check_table": "data",
    "compare_factors": "analyses.factors",
    "cutoff_study": "evaluation.cutoff_study",
    "default_cache_dir": "inference.cache",
    "diagnose": "results.diagnostics",
    "efficiency": "analyses.efficiency",
    "equivalent_compute": "analyses.efficiency",
    "factors": "analyses.factors",
    "fit": "inference.fitting",
    "fit_ladder": "inference.ladder",
    "fit_point_estimate": "evaluation.ladder_baseline",
    "forecast": "results.forecast",
    "forecast_ladder": "results.ladder_forecast",
    "gain": "analyses.interventions",
    "latent_compute": "analyses.latent_compute",
    "leave_models_out": "analyses.agents",
    "load_base_llms": "data",
    "load_fit": "results.fit",
    "load_instruct_llms": "data",
    "load_ladder_fit": "results.ladder",
    "load_olmo_ladder": "data",
    "log_likelihood": "results.likelihood",
    "log_prior": "results.likelihood",
    "next_runs": "design.ladder",
    "read_ladder": "data",
    "select_models": "design.subset",
    "single_family": "analyses.single_family",
    "split_by_date": "data",
    "split_by_family": "data",
    "split_by_flops": "data",
    "split_by_rank": "data",
    "split_by_score": "data",
    "split_by_size": "data",
    "split_largest_of_family": "data",
    "split_models": "data",
    "split_random": "data",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bayes_obscaling' has no attribute '{name}'")
    value = getattr(import_module(f"bayes_obscaling.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
