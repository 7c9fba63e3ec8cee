"""Anomalies: scores too good or too bad for the other scores of a model, or of a whole family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import false_discovery_control

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability import features
from bayes_obscaling.models.links import response
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import PARETO_LIMIT, predict_left_out
from bayes_obscaling.results.summaries import LEVELS, interval_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOO_GOOD, TOO_BAD = "too good", "too bad"


@dataclass(frozen=True, eq=False)
class Anomalies(Finding):
    """Scores that do not fit.

    ``table`` has a row a single score (``kind`` "score") and a row a family and benchmark ("family"), the oddest
    first: ``family, model, benchmark, observed``; ``median, q5, q25, q75, q95`` of the excess over what was expected
    (score units); ``tail``, a two-sided tail probability; ``q_value``, the share of false flags to expect if this row
    and all odder ones of its kind were flagged; ``flag`` ("too good", "too bad" or empty); ``basis``, what the
    expectation has seen, and ``pareto_k`` where it was reweighted.
    """

    false_flags: float = 0.1

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the oddest rows; see `bayes_obscaling.plots.capability.plot_anomalies`."""
        from bayes_obscaling.plots.capability import plot_anomalies

        return plot_anomalies(self, ax=ax)


def anomalies(fit: Fit, *, false_flags: float = 0.1) -> Anomalies:
    """Flag scores that are too good or too bad for the other ones.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`. Tasks that it was asked for are judged too.
    false_flags : float
        Share of flags that may be false, for each kind of row, between 0 and 1.

    Returns
    -------
    Anomalies

    Raises
    ------
    InputError
        For a share that is not between 0 and 1.

    Notes
    -----
    *Single scores.* A benchmark score is compared with its prediction from all the other scores (leave-one-out; see
    `bayes_obscaling.results.leave_one_out`). A held-out task score is compared with its forecast. A task score that
    the fit has seen is compared with a prediction that has seen it ("in-sample"), so its tail probability is too large,
    and fewer are flagged than should be. Flags control the false discovery rate (Benjamini and Hochberg 1995) over all
    single scores.

    *Families.* The excess is what the family's offset on the benchmark adds to the expected scores of its models with
    seen scores, on average. ``tail`` is twice the posterior probability that the offset has the other sign, and is
    flagged where it is at most `false_flags`; ``q_value`` is the running mean of that probability, the share of wrong
    signs to expect among this row and all surer ones (the s-value of Stephens 2017). Offsets shrink to their
    population: a benchmark on which families differ much anyway needs a larger one. What an anchor that shares its
    factor with few other benchmarks measures is that factor: a family's strength on HumanEval is its code capability,
    and no offset.

    A flag is a question, not a verdict: contamination, a harness that scores differently, a training mix that favours
    one benchmark, and a wrong entry in the table look the same.
    """
    if not 0 < false_flags < 1:
        raise InputError(f"The share of false flags is {false_flags}: give a fraction between 0 and 1, such as 0.1.")
    single = pd.concat([_left_out_scores(fit), *(_task_scores(fit, task) for task in _tasks(fit))], ignore_index=True)
    single["q_value"] = false_discovery_control(single["tail"])
    grouped = _family_offsets(fit)
    grouped["q_value"] = _running_share(grouped["tail"].to_numpy() / 2)
    table = pd.concat([single.assign(kind="score"), grouped.assign(kind="family")], ignore_index=True)
    sign = np.where(table["median"] > 0, TOO_GOOD, TOO_BAD)
    odd = np.where(table["kind"] == "score", table["q_value"], table["tail"]) <= false_flags
    table["flag"] = np.where(odd, sign, "")
    first = [
        "kind",
        "family",
        "model",
        "benchmark",
        "observed",
        *LEVELS,
        "tail",
        "q_value",
        "flag",
        "basis",
        "pareto_k",
    ]
    table = table[first].sort_values(["q_value", "tail"], kind="stable").reset_index(drop=True)
    table["model"] = table["model"].fillna("")
    return Anomalies(table, _sentences(table, false_flags), fit.problems, {}, false_flags)


def _tasks(fit: Fit) -> list[str]:
    benchmarks = fit.draws["benchmark"].to_numpy()
    return [task for task in fit.tasks if task not in benchmarks]


def _left_out_scores(fit: Fit) -> pd.DataFrame:
    left_out = predict_left_out(fit)
    rows = left_out.to_dataframe().dropna(subset="pit").reset_index()
    names = list(fit.draws["benchmark"].to_numpy())
    observed = fit.table.matrix(names).stack().rename("observed")
    rows = rows.join(observed, on=["model", "benchmark"])
    frame = rows[["model", "benchmark", "observed", "pareto_k"]].copy()
    frame["family"] = fit.table.models["family"].reindex(frame["model"]).to_numpy()
    for name, mirrored in zip(LEVELS, ("median", "q95", "q75", "q25", "q5"), strict=True):
        frame[name] = rows["observed"] - rows[mirrored]
    frame["tail"] = np.clip(2 * np.minimum(rows["pit"], 1 - rows["pit"]), 0, 1)
    unsure = frame["pareto_k"] > PARETO_LIMIT
    frame["basis"] = np.where(unsure, "leave-one-out, unreliable", "leave-one-out")
    return frame


def _task_scores(fit: Fit, task: str) -> pd.DataFrame:
    """Observed scores on a task against draws of a new evaluation."""
    observed = fit.table.matrix([task])[task].dropna()
    made = forecast(fit, list(observed.index), tasks=task)
    draws = made.draws.sel(task=task).stack(sample=("chain", "draw")).transpose("sample", "scenario").to_numpy()
    score = observed.to_numpy()
    frame = interval_columns(score - draws)
    frame["model"], frame["benchmark"], frame["observed"] = observed.index, task, score
    frame["family"] = fit.table.models["family"].reindex(observed.index).to_numpy()
    # A score beyond all draws is as rare as one in their number, not impossible.
    beyond = np.minimum((draws <= score).sum(axis=0), (draws >= score).sum(axis=0))
    frame["tail"] = np.minimum(2 * (1 + beyond) / (1 + len(draws)), 1.0)
    frame["basis"] = np.where(made.about["seen"].to_numpy(bool), "in-sample", "held out")
    frame["pareto_k"] = np.nan
    return frame


def _family_offsets(fit: Fit) -> pd.DataFrame:
    """What offsets add to the scores of a family's models, benchmarks first, then tasks."""
    draws, observed = fit.draws, fit.posterior["observed_data"]
    labels = [str(p) for p in draws["predictors"].to_numpy()]
    index = labels.index("all") if "all" in labels else 0
    measured = draws.isel(predictors=index)
    seen = predict_left_out(fit)["pit"].to_pandas().notna()
    parts = []
    for name in draws["benchmark"].to_numpy():
        mine = measured.sel(benchmark=name)
        eta = (mine["theta"] * mine["loading"]).sum("factor") + mine["difficulty"]
        parts.append(_lift(fit, name, eta, mine["family_offset"], mine["ceiling_gap"], seen[name]))
    for task in _tasks(fit):
        mean = xr.DataArray(
            _logit_without_offset(fit, task), dims=("chain", "draw", "model"), coords={"model": draws["model"]}
        )
        mine = draws.sel(task=task)
        shown = observed["task_score"].sel(task=task).to_series().notna()
        parts.append(_lift(fit, task, mean, mine["task_family_offset"], mine["task_ceiling_gap"], shown))
    return pd.concat(parts, ignore_index=True)


def _logit_without_offset(fit: Fit, task: str) -> np.ndarray:
    """Linear predictor (chain, draw, model) of a task's head, less the family's offset."""
    draws, observed = fit.draws, fit.posterior["observed_data"]
    mine = draws.sel(predictors=str(observed["task_predictors"].sel(task=task).item()))
    z = np.asarray(features(mine["theta"].to_numpy(), observed["reference"].to_numpy()))
    head = draws.sel(task=task)
    return (z * head["weight"].to_numpy()[:, :, None]).sum(axis=-1) + head["task_difficulty"].to_numpy()[..., None]


def _lift(
    fit: Fit, name: str, eta: xr.DataArray, offset: xr.DataArray, gap: xr.DataArray, seen: pd.Series
) -> pd.DataFrame:
    """Rows of one benchmark or task: what the offset of each family with seen scores adds."""
    models = fit.table.models
    chance = float(fit.table.benchmarks.loc[name, "chance"])
    rows, values = [], []
    for family, group in models["family"].groupby(models["family"], sort=False):
        members = [m for m in group.index if bool(seen.get(m, False))]
        if not members:
            continue
        base = eta.sel(model=members).transpose("chain", "draw", "model").to_numpy()
        own = offset.sel(family=family).transpose("chain", "draw").to_numpy()
        ceiling = gap.transpose("chain", "draw").to_numpy()[..., None]
        added = np.asarray(response(base + own[..., None], chance, ceiling) - response(base, chance, ceiling))
        values.append(added.mean(axis=-1).ravel())
        other = min((own < 0).mean(), (own > 0).mean())
        count = own.size
        rows.append(
            {
                "family": family,
                "benchmark": name,
                "observed": fit.table.matrix([name])[name][members].mean(),
                "tail": min(2 * (1 + other * count) / (1 + count), 1.0),
                "basis": f"offset over {len(members)} model{'s' if len(members) > 1 else ''}",
            }
        )
    return pd.concat([pd.DataFrame(rows), interval_columns(np.stack(values, axis=1))], axis=1)


def _running_share(wrong: np.ndarray) -> np.ndarray:
    """Expected share of wrong ones among each and all that are less likely to be wrong."""
    order = np.argsort(wrong, kind="stable")
    share = np.empty(len(wrong))
    share[order] = np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)
    return share


def _sentences(table: pd.DataFrame, false_flags: float) -> tuple[str, ...]:
    said = []
    for kind, what in (("score", "scores"), ("family", "family x benchmark offsets")):
        rows = table[table["kind"] == kind]
        flagged = rows[rows["flag"] != ""]
        good = int((flagged["flag"] == TOO_GOOD).sum())
        wrong = false_flags * len(flagged) if kind == "score" else flagged["tail"].sum() / 2
        said.append(
            f"{len(flagged)} of {len(rows)} {what} flagged: {good} too good, {len(flagged) - good} too bad"
            + (f"; {wrong:.2g} false ones among them are to be expected at most." if len(flagged) else ".")
        )
        # Most striking: by size, since beyond a point tail probabilities only say "few draws".
        for row in flagged.reindex(flagged["median"].abs().sort_values(ascending=False).index).head(5).itertuples():
            said.append(
                f"{row.flag.capitalize()}: {row.model or row.family} on {row.benchmark}, {row.median:+.3f} "
                f"(90 % interval {row.q5:+.3f} to {row.q95:+.3f}; {row.basis})."
            )
    if "in-sample" in set(table["basis"]):
        said.append("Task scores that the fit has seen are judged in-sample: fewer are flagged than should be.")
    return tuple(said)
