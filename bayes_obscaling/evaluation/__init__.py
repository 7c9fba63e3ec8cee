"""How good forecasts are: backtests, baselines, scores, and studies that fit many times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_obscaling.lazy import lazy_names

if TYPE_CHECKING:
    from bayes_obscaling.evaluation import cells
    from bayes_obscaling.evaluation.ahead import Predictions, predict_ahead
    from bayes_obscaling.evaluation.ahead_scores import AheadScores, score_ahead
    from bayes_obscaling.evaluation.baselines import BASELINES, baseline
    from bayes_obscaling.evaluation.ladder_backtest import (
        LadderBacktest,
        accuracy_loo,
        backtest_ladder,
        compare_ladder_specs,
        score_runs,
    )
    from bayes_obscaling.evaluation.ladder_baseline import fit_point_estimate
    from bayes_obscaling.evaluation.scoring import paired_differences, score_draws, score_points, score_table
    from bayes_obscaling.evaluation.suites import run_suite, suite
    from bayes_obscaling.results.stacked import Stack, StackedForecast

__all__, __getattr__, __dir__ = lazy_names(__name__, __file__)
