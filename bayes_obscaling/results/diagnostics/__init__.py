"""diagnose(): can this fit be relied on, and if not, why not and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from bayes_obscaling.checks import Check, Level, worst
from bayes_obscaling.results.diagnostics import ladder
from bayes_obscaling.results.diagnostics.influence import SHIFT_LIMIT, asked_forecasts, check_influence, influence_table
from bayes_obscaling.results.diagnostics.priors import SENSITIVITY_LIMIT, check_priors, prior_table, sensitivity_table
from bayes_obscaling.results.diagnostics.sampler import check_sampler, parameter_table
from bayes_obscaling.results.diagnostics.scores import calibration_table, check_scores
from bayes_obscaling.results.diagnostics.trace import trace_table
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import BFMI_LIMITS, CapabilityFit, LadderFit
from bayes_obscaling.results.leave_one_out import leave_one_out, leave_scores_out, pareto_limit

__all__ = ["Check", "Diagnosis", "diagnose"]


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Finding):
    """What the checks of a fit have found.

    Attributes
    ----------
    table : DataFrame
        One row per check: ``check, level`` (PASS, REVIEW or FAIL), ``what`` (the number, and where), ``reason`` (the
        limit and its source), ``remedy``.
    parts : mapping of str to DataFrame
        ``parameters`` (R-hat and effective sample sizes), ``energy``, ``scores`` (leave-one-out of every score),
        ``calibration`` (by benchmark and task), ``priors``, ``sensitivity``, ``influence``; the last three not for a
        sparse table.
    fit : CapabilityFit or LadderFit
        The fit.
    limits : mapping of str to float
        What the checks compare with: ``e_bfmi`` (REVIEW below it) and ``e_bfmi_fail``, ``pareto_k``, ``sensitivity``,
        ``shift``.
    """

    drawn_by = "plot_checks"
    front = ("check", "level", "what")

    fit: CapabilityFit | LadderFit = field(kw_only=True, repr=False)
    limits: Mapping[str, float] = field(kw_only=True)

    @property
    def verdict(self) -> Level:
        """The worst level of all checks."""
        return worst(self.table["level"])

    def level(self, check: str) -> Level:
        """Level of the check of that name, or the worst of those whose name starts with it."""
        return worst(self.table.loc[self.table["check"].str.startswith(check), "level"])

    def trace(self, parameter: str | None = None) -> pd.DataFrame:
        """Draws of one parameter, default that with the largest R-hat; see `trace_table`."""
        return trace_table(self.fit, self.parts["parameters"], parameter)

    def plots(self) -> np.ndarray:
        """Draw every plot of the checks, in five figures, and return their axes."""
        from bayes_obscaling.plots import plot_diagnosis

        return plot_diagnosis(self)


def diagnose(fit: CapabilityFit | LadderFit) -> Diagnosis:
    """Check a fit: the sampler, the scores, the priors, and how much hangs on single models. Nothing is refitted.

    Parameters
    ----------
    fit : CapabilityFit or LadderFit
        From `bayes_obscaling.fit`, `bayes_obscaling.fit_ladder`, or a file. A ladder is judged by forecasts of a model
        one rung beyond it.

    Notes
    -----
    Only the sampler can FAIL a fit: then its draws do not represent the posterior and nothing else can be trusted.
    What the other checks find asks for a look (REVIEW). Each stage of a cut posterior is judged by its own likelihood.
    """
    is_ladder = isinstance(fit, LadderFit)
    if isinstance(fit, LadderFit):
        left_out, forecasts = ladder.leave_one_out(fit), ladder.next_rung(fit)
        priors, sensitivity = ladder.prior_table(fit), ladder.sensitivity_table(fit, forecasts)
        influence = ladder.influence_table(fit, left_out, forecasts)
    elif fit.layout.structure.is_sparse:
        return _of_sparse(fit)
    else:
        left_out, forecasts = leave_one_out(fit), asked_forecasts(fit)
        priors, sensitivity = prior_table(fit), sensitivity_table(fit, forecasts)
        influence = influence_table(fit, left_out, forecasts)
    reweighted = len(left_out[0].kept)
    checks = [
        *check_sampler(fit),
        *check_scores(left_out, "a richer spec" if is_ladder else "one more factor"),
        *check_priors(priors, sensitivity),
        check_influence(influence, reweighted, "runs" if is_ladder else "models"),
    ]
    return Diagnosis(
        table=pd.DataFrame([asdict(check) for check in checks]),
        sentences=_sentences(checks),
        problems=fit.problems,
        parts={
            "parameters": parameter_table(fit),
            "energy": fit.energies,
            "scores": pd.concat([stage.scores.assign(stage=stage.stage) for stage in left_out], ignore_index=True),
            "calibration": pd.concat([calibration_table(stage) for stage in left_out], ignore_index=True),
            "priors": priors,
            "sensitivity": sensitivity,
            "influence": influence,
        },
        fit=fit,
        limits={
            "e_bfmi": BFMI_LIMITS[1],
            "e_bfmi_fail": BFMI_LIMITS[0],
            "pareto_k": float(pareto_limit(reweighted)),
            "sensitivity": SENSITIVITY_LIMIT,
            "shift": SHIFT_LIMIT,
        },
    )


def _of_sparse(fit: CapabilityFit) -> Diagnosis:
    """Checks of the sampler and of the scores, and a word about those that were not made."""
    left_out = leave_scores_out(fit)
    remedy = "Judge forecasts of models to come by back-tests, such as `backtest --suite frontier`."
    others = Check("priors, models", "REVIEW", "not judged", "Whole models are not left out of sparse tables.", remedy)
    checks = [*check_sampler(fit), *check_scores((left_out,)), others]
    return Diagnosis(
        table=pd.DataFrame([asdict(check) for check in checks]),
        sentences=_sentences(checks),
        problems=fit.problems,
        parts={
            "parameters": parameter_table(fit),
            "energy": fit.energies,
            "scores": left_out.scores.assign(stage=left_out.stage),
            "calibration": calibration_table(left_out),
        },
        fit=fit,
        limits={
            "e_bfmi": BFMI_LIMITS[1],
            "e_bfmi_fail": BFMI_LIMITS[0],
            "pareto_k": float(pareto_limit(len(left_out.kept))),
        },
    )


def _sentences(checks: list[Check]) -> tuple[str, ...]:
    counts = {level: [c for c in checks if c.level == level] for level in ("PASS", "REVIEW", "FAIL")}
    said = f"{worst(c.level for c in checks)}: {len(counts['PASS'])} checks pass"
    for level, words in (("REVIEW", "to review"), ("FAIL", "failed")):
        if counts[level]:
            said += f", {len(counts[level])} {words} ({', '.join(c.check for c in counts[level])})"
    return (
        f"{said}.",
        *(f"{c.level} {c.check}: {c.what}. {c.remedy}" for c in counts["FAIL"] + counts["REVIEW"]),
    )
