"""Questions: each takes a fit, or a table that it fits several times, and returns a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_obscaling.lazy import lazy_names

if TYPE_CHECKING:
    from bayes_obscaling.analyses.anomalies import anomalies
    from bayes_obscaling.analyses.drift import drift
    from bayes_obscaling.analyses.efficiency import efficiency, equivalent_compute, worth
    from bayes_obscaling.analyses.factors import factors
    from bayes_obscaling.analyses.gain import gain
    from bayes_obscaling.analyses.inference_compute import inference_compute
    from bayes_obscaling.analyses.latent_compute import latent_compute
    from bayes_obscaling.evaluation.factor_choice import compare_factors
    from bayes_obscaling.evaluation.gain_check import check_gain
    from bayes_obscaling.evaluation.latent_check import check_latent_compute
    from bayes_obscaling.evaluation.left_out import leave_models_out
    from bayes_obscaling.evaluation.single_family import single_family
    from bayes_obscaling.evaluation.when_check import check_when
    from bayes_obscaling.results.curves import capability_curve, compute_curve
    from bayes_obscaling.results.ladder_curves import link_curve, loss_curves
    from bayes_obscaling.results.likelihood import log_likelihood, log_prior
    from bayes_obscaling.results.reach import compute_to_reach, date_to_reach
    from bayes_obscaling.results.when import when

__all__, __getattr__, __dir__ = lazy_names(__name__, __file__)
