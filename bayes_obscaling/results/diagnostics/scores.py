"""Do the scores fit? Leave-one-out weights, calibration of each benchmark and task, scores that nobody expected."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from bayes_obscaling.checks import Check, listed
from bayes_obscaling.results.leave_one_out import LeaveOneOut, pareto_limit

# Of a Kolmogorov-Smirnov test of uniform LOO-PIT values, all benchmarks and tasks of a stage together.
CALIBRATION_LEVEL = 0.05
# Fewer scores than this say nothing about calibration.
_FEWEST_SCORES = 8
# Distance from the leave-one-out mean, in sd, at which a score is news: 1 in 1.7 million for a normal one.
_SURPRISING = 5.0


def check_scores(left_out: tuple[LeaveOneOut, ...], richer: str = "one more factor") -> list[Check]:
    """Check every stage's scores; `richer` is what a model gets that cannot follow them."""
    return [check for stage in left_out for check in (_check_pareto(stage), _check_calibration(stage, richer))] + [
        _check_surprises(left_out)
    ]


def calibration_table(stage: LeaveOneOut) -> pd.DataFrame:
    """How the LOO-PIT values of each benchmark or task of a stage spread.

    Columns: ``stage, benchmark, n, pareto_k_high`` (scores above the limit), ``elpd, coverage_50, coverage_90`` (shares
    of scores inside the central leave-one-out intervals), ``mean_pit`` (0.5 if unbiased), ``p`` (of a
    Kolmogorov-Smirnov test of uniformity, NaN below 8 scores) and ``p_holm`` (adjusted over the stage's benchmarks;
    Holm 1979).
    """
    limit, rows = pareto_limit(len(stage.kept)), []
    for name, group in stage.scores.groupby("benchmark", sort=False):
        pit = group["pit"].to_numpy()
        rows.append(
            {
                "stage": stage.stage,
                "benchmark": name,
                "n": len(pit),
                "pareto_k_high": int((group["pareto_k"] > limit).sum()),
                "elpd": group["elpd"].sum(),
                "coverage_50": ((pit >= 0.25) & (pit <= 0.75)).mean(),
                "coverage_90": ((pit >= 0.05) & (pit <= 0.95)).mean(),
                "mean_pit": pit.mean(),
                "p": stats.kstest(pit, "uniform").pvalue if len(pit) >= _FEWEST_SCORES else np.nan,
            }
        )
    table = pd.DataFrame(rows)
    table["p_holm"] = _holm(table["p"].to_numpy())
    return table


def _holm(p: np.ndarray) -> np.ndarray:
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _check_pareto(stage: LeaveOneOut) -> Check:
    limit = pareto_limit(len(stage.kept))
    high = stage.scores[stage.scores["pareto_k"] > limit].sort_values("pareto_k", ascending=False)
    n = len(stage.scores)
    what = f"{len(high)} of {n} scores ({len(high) / n:.1%}) above {limit:.2f}"
    if len(high):
        first = high.iloc[0]
        what += f", highest {first['pareto_k']:.2f} ({first['model']}, {first['benchmark']}); most on "
        what += " and ".join(
            f"{high[kind].value_counts().index[0]} ({high[kind].value_counts().iloc[0]} of "
            f"{(stage.scores[kind] == high[kind].value_counts().index[0]).sum()})"
            for kind in ("benchmark", "model")
        )
    return Check(
        f"Pareto k: {stage.stage}",
        "REVIEW" if len(high) else "PASS",
        what,
        "PSIS-LOO, limit min(1 - 1/log10(S), 0.7) (Vehtari et al. 2024): above it the posterior without that score "
        "cannot be reached from this one, so the score weighs heavily and its leave-one-out figures are rough.",
        "Check these scores for errors; fit once more without the highest and compare the forecasts."
        if len(high)
        else "",
    )


def _check_calibration(stage: LeaveOneOut, richer: str) -> Check:
    table = calibration_table(stage)
    tested = table.dropna(subset=["p"])
    inside = (stage.scores["pit"].between(0.05, 0.95)).mean()
    bad = tested[tested["p_holm"] < CALIBRATION_LEVEL].sort_values("p")
    what = f"90 % leave-one-out intervals hold {inside:.1%} of {len(stage.scores)} scores; "
    if len(bad):
        what += "off: " + listed([f"{row.benchmark} ({_shape(row)})" for row in bad.itertuples()])
    elif len(tested):
        least = tested.loc[tested["p_holm"].idxmin()]
        what += f"none of {len(tested)} off (smallest adjusted p {least['p_holm']:.2f}, {least['benchmark']})"
    else:
        what += f"fewer than {_FEWEST_SCORES} scores on each: nothing to test"
    return Check(
        f"calibration: {stage.stage}",
        "REVIEW" if len(bad) else "PASS",
        what,
        f"LOO-PIT values should be uniform (Gelfand et al. 1992): Kolmogorov-Smirnov test, Holm-adjusted p below "
        f"{CALIBRATION_LEVEL}. Models of a family err together, so the test is rather too strict.",
        f"Plot the LOO-PIT: too narrow asks for more noise or {richer}, too wide for less noise, a shift for "
        "another chance score or ceiling."
        if len(bad)
        else "",
    )


def _shape(row: object) -> str:
    """Say how a benchmark's LOO-PIT values depart from uniform."""
    mean, middle = row.mean_pit, row.coverage_50  # type: ignore[attr-defined]
    width = "too wide" if middle > 0.5 else "too narrow"
    side = "scores above" if mean > 0.5 else "scores below"
    said = side if abs(mean - 0.5) > abs(middle - 0.5) / 2 else f"{width}: 50 % intervals hold {middle:.0%}"
    return f"{said}, p {row.p:.2g}"  # type: ignore[attr-defined]


def _check_surprises(left_out: tuple[LeaveOneOut, ...]) -> Check:
    scores = pd.concat([stage.scores for stage in left_out]).drop_duplicates(["model", "benchmark"], ignore_index=True)
    odd = scores[scores["z"].abs() > _SURPRISING]
    odd = odd.loc[odd["z"].abs().sort_values(ascending=False).index]
    named = [f"{row.model} on {row.benchmark} ({row.observed:.3f}, {row.z:+.1f} sd)" for row in odd.itertuples()]
    largest = scores.loc[scores["z"].abs().idxmax()]
    return Check(
        "surprising scores",
        "REVIEW" if named else "PASS",
        listed(named) if named else f"largest {largest['z']:+.1f} sd: {largest['model']} on {largest['benchmark']}",
        f"More than {_SURPRISING:g} sd from what all other scores say: a typing error, another prompt or harness, or "
        "a model unlike its family.",
        "Look the scores up; mend or remove those that are wrong." if named else "",
    )
