"""Plots of results: tables in, axes out.

Every function takes what is to be drawn first: a table (of `bayes_obscaling.evaluation.cells`), or a result that holds
its tables (a forecast, a curve, the answer of an analysis, a diagnosis). ``ax`` says where to draw, by default on a new
figure, and is returned. Nothing is computed here: a table that is drawn can be printed. Captions say whether the
sampler behind the numbers has converged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_obscaling.lazy import lazy_names

if TYPE_CHECKING:
    from bayes_obscaling.plots.ahead import plot_ahead
    from bayes_obscaling.plots.analyses import (
        plot_anomalies,
        plot_drift,
        plot_efficiency,
        plot_factor_choice,
        plot_factors,
        plot_latent_compute,
        plot_worth,
    )
    from bayes_obscaling.plots.curves import plot_capability_curve, plot_compute_curve, plot_reach
    from bayes_obscaling.plots.cutoffs import plot_by_distance, plot_emergence, plot_error_by_cutoff, plot_trajectory
    from bayes_obscaling.plots.design import plot_comparison, plot_selection
    from bayes_obscaling.plots.diagnostics import (
        plot_checks,
        plot_diagnosis,
        plot_energy,
        plot_influence,
        plot_loo_pit,
        plot_page,
        plot_pareto_k,
        plot_priors,
        plot_ranks,
        plot_sensitivity,
        plot_trace,
    )
    from bayes_obscaling.plots.gain import plot_drivers, plot_gain, plot_gain_check, plot_gain_curve
    from bayes_obscaling.plots.inference import plot_inference_compute
    from bayes_obscaling.plots.intervals import plot_forecast
    from bayes_obscaling.plots.ladder import plot_ladder_forecast, plot_link, plot_loss
    from bayes_obscaling.plots.left_out import plot_models_left_out, plot_single_family
    from bayes_obscaling.plots.methods import plot_coverage, plot_forest, plot_pit
    from bayes_obscaling.plots.stack import plot_stack
    from bayes_obscaling.plots.when import plot_when_check

__all__, __getattr__, __dir__ = lazy_names(__name__, __file__)
