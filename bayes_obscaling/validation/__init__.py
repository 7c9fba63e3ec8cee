"""Proof of the code: simulated data of known truth, calibration by ranks, coverage when assumptions break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_obscaling.lazy import lazy_names

if TYPE_CHECKING:
    from bayes_obscaling.validation import simulate
    from bayes_obscaling.validation.coverage import coverage_table, run_coverage
    from bayes_obscaling.validation.factor_recovery import run_factor_counts
    from bayes_obscaling.validation.ranks import calibrate, load_calibration

__all__, __getattr__, __dir__ = lazy_names(__name__, __file__)
