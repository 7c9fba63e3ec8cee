"""Drift: what a year is worth in compute, and how well a fit can tell compute and date apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from bayes_obscaling.analyses.efficiency import REFERENCE_FLOPS
from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.models.capability_equations import Covariates, covariates_of, expected_benchmarks, line
from bayes_obscaling.results.directions import OVERALL, direction_of
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.release import check_drift
from bayes_obscaling.results.scenario import NEW_FAMILY
from bayes_obscaling.results.summaries import LEVELS, interval_columns

_UNITS = {"decades": "decades per year", "multiple": "times per year", "score": "score per year"}
_TOLD_APART = 0.5  # least share of the prior's variance that the data have taken away of each factor's drift
_TAIL = 1e-12  # what lies farther out in the prior counts as if it lay there
_FEWEST = 3  # through two points any line fits


@dataclass(frozen=True, eq=False, repr=False)
class Drift(Finding):
    """What a year is worth.

    ``table`` has a row per capability and quantity, each with its ``unit``: ``decades`` of compute that a year is worth
    (q), the ``multiple`` of compute that these are (10^q), and, of a factor, the ``score`` that its anchor benchmark
    gains in the year after the latest release that the fit has seen, of the typical model of a family at the reference
    compute. ``parts``: ``prior``, what was believed of each factor's drift (``prior_median, prior_q5, prior_q95``), and
    ``learned``, the share of the prior's variance that the data took away (in standard scores of the prior: for a
    lognormal one, on the log scale); and, where benchmarks drift, ``categories``: logits a year of each ``category`` of
    benchmarks beside the mean of all (Equation 50 of docs/explanation/model.md).
    """

    drawn_by = "plot_drift"
    front = ("capability", "median", "q25", "q75", "q5", "q95", "multiple", "multiple_q5", "multiple_q95", "score")

    flops: float = REFERENCE_FLOPS
    date: str = ""

    def summary(self) -> pd.DataFrame:
        """Return a row per capability: decades of compute a year, the multiple that is, and the score it brings."""
        decades, multiple, score = (self._of(quantity) for quantity in _UNITS)
        columns = decades.join(multiple[["median", "q5", "q95"]].add_prefix("multiple_")).assign(score=score["median"])
        return columns.rename(columns={"multiple_median": "multiple"}).reset_index()[list(self.front)]

    def _of(self, quantity: str) -> pd.DataFrame:
        return self.table[self.table["quantity"] == quantity].set_index("capability")


def drift(fit: CapabilityFit, *, flops: float = REFERENCE_FLOPS) -> Drift:
    """Say what a year is worth in compute, by capability.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file, with a drift.
    flops : float
        Reference compute at which a year's gain in score is counted.

    Raises
    ------
    InputError
        For a fit without a drift, or a reference compute that cannot be meant.

    Notes
    -----
    A year raises capability k by ``q_k`` decades of compute at the average family's slope. For overall capability (the
    mean of all, each in sd over the models) the gains of a year are added up, and so are the slopes. The random walk of
    forecasts is left out: this is the steady drift.
    """
    check_drift(fit.drift)
    check_flops("The reference compute", flops)
    p = fit.posterior.measurement(fit.posterior.complete)
    weight = direction_of(fit, OVERALL).weight
    pace, gained = (weight * p["slope_mean"]).sum(axis=1), (weight * p["slope_mean"] * p["drift"]).sum(axis=1)
    overall = np.where(pace > 0, gained / np.where(pace > 0, pace, 1.0), np.inf)
    decades = np.column_stack([overall, p["drift"]])
    quantities = {"decades": decades, "multiple": 10.0**decades, "score": _gained_score(fit, flops)}
    rows = []
    for quantity, draws in quantities.items():
        frame = interval_columns(draws)
        frame.insert(0, "unit", _UNITS[quantity])
        frame.insert(0, "quantity", quantity)
        frame.insert(0, "capability", [OVERALL, *fit.layout.factors][-draws.shape[1] :])
        rows.append(frame)
    table = pd.concat(rows, ignore_index=True)
    parts = {"prior": _prior(fit, p["drift"])}
    latest = date_at(fit.posterior.latest[NEW_FAMILY])
    sentences = _sentences(fit, table, parts["prior"], flops, latest)
    if "category_drift" in p:
        parts["categories"] = interval_columns(p["category_drift"]).assign(category=list(fit.layout.categories))
        sentences += (_of_categories(parts["categories"]),)
    return Drift(table, sentences, fit.problems, parts, flops, latest)


def _gained_score(fit: CapabilityFit, flops: float) -> np.ndarray:
    """Score (S, K) that a year adds to each factor's anchor, for a typical model of an average family."""
    posterior = fit.posterior
    p, latest = posterior.measurement(posterior.complete), posterior.latest[NEW_FAMILY]
    x = Covariates(covariates_of({"flops": [flops, flops]}).compute, np.array([latest, latest + 1.0]))
    none = np.zeros((1, 1, 1))
    average = {**p, "intercept": p["intercept_mean"][:, None], "slope": p["slope_mean"][:, None], "family_drift": none}
    expected = expected_benchmarks(p, line(average, x), 0.0, np.asarray(fit.layout.measurements[0].chance))
    anchors = [fit.layout.benchmarks.index(name) for name in fit.layout.factors]
    return np.diff(np.asarray(expected)[..., anchors], axis=1)[:, 0]


def _prior(fit: CapabilityFit, drift: np.ndarray) -> pd.DataFrame:
    """What was believed of the drift (S, K) of each factor, and how much of it the data have taken away."""
    prior = fit.spec.priors.drift.scipy()
    facts = {"prior_median": prior.median(), "prior_q5": prior.ppf(0.05), "prior_q95": prior.ppf(0.95)}
    scores = norm.ppf(np.clip(prior.cdf(drift), _TAIL, 1.0 - _TAIL))
    return pd.DataFrame({"capability": list(fit.layout.factors), **facts, "learned": 1.0 - scores.var(axis=0)})


def _together(fit: CapabilityFit) -> tuple[int, float]:
    """Number of models of known compute and date of which a score was seen, and the correlation of the two in them."""
    models = fit.table.models[fit.posterior.measured.to_numpy()]
    known = models[models["flops"].notna() & (models["date"] != "")]
    x, t = np.log10(known["flops"].to_numpy(float)), years_of(known["date"])
    if len(known) < _FEWEST or np.ptp(x) == 0 or np.ptp(t) == 0:
        return len(known), float("nan")
    return len(known), float(np.corrcoef(x, t)[0, 1])


def _sentences(
    fit: CapabilityFit, table: pd.DataFrame, prior: pd.DataFrame, flops: float, latest: str
) -> tuple[str, ...]:
    of = {quantity: rows.set_index("capability") for quantity, rows in table.groupby("quantity")}
    whole, fold = of["decades"].loc[OVERALL], of["multiple"].loc[OVERALL]
    factors = [f"{name} {_interval(row, '.2f')}" for name, row in of["decades"].drop(OVERALL).iterrows()]
    points = [f"{name} {_interval(100 * row[list(LEVELS)], '+.1f')}" for name, row in of["score"].iterrows()]
    count, correlation = _together(fit)
    believed, learned = prior.iloc[0], prior["learned"].clip(lower=0.0)
    told = "told apart" if learned.min() >= _TOLD_APART else "weakly told apart"
    together = f"correlation {correlation:.2f} over" if np.isfinite(correlation) else "known of"
    return (
        f"A year is worth {whole['median']:.2f} decades of compute by overall capability (90 % interval "
        f"{whole['q5']:.2f} to {whole['q95']:.2f}): the same FLOPs do a year later what {fold['median']:.2g} times as "
        f"many did ({fold['q5']:.2g} to {fold['q95']:.2g}).",
        f"By factor, in decades, with 90 % intervals: {', '.join(factors)}.",
        f"In the year after {latest}, a typical model of {flops:.2g} FLOPs of an average family gains, in points: "
        f"{', '.join(points)}.",
        f"Compute and date ({together} {count} models seen) are {told}: the data took away {learned.min():.0%} to "
        f"{learned.max():.0%} of the prior's variance of the drift (its 90 %: {believed['prior_q5']:.2f} to "
        f"{believed['prior_q95']:.2f} decades).",
    )


def _of_categories(table: pd.DataFrame) -> str:
    """Which categories of benchmarks gain more, or less, with the date than capabilities do."""
    sure = table[(table["q5"] > 0) | (table["q95"] < 0)].sort_values("median", ascending=False)
    if sure.empty:
        return "No category of benchmarks is known to gain more, or less, with the date than the capabilities."
    told = ", ".join(f"{row['category']} {_interval(row, '+.2f')}" for _, row in sure.iterrows())
    return f"Beside the capabilities a year adds to categories of benchmarks, in logits: {told}."


def _interval(row: pd.Series, form: str) -> str:
    return f"{row['median']:{form}} ({row['q5']:{form}} to {row['q95']:{form}})"
