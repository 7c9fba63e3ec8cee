"""Anomalies: scores too good or too bad for the other scores of a model, or of a whole family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from bayes_obscaling.checks import counted
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import PARETO_LIMIT, predict_left_out
from bayes_obscaling.results.summaries import LEVELS, interval_columns

TOO_GOOD, TOO_BAD = "too good", "too bad"
# Single scores of every task asked for that a summary names, flagged or not.
_ODDEST = 5
_JUDGED = ("tail", "q_value", "flag", "basis", "pareto_k")


@dataclass(frozen=True, eq=False, repr=False)
class Anomalies(Finding):
    """Scores that do not fit.

    ``table`` has a row per single score (``kind`` "score") and a row per family and benchmark ("family"), the oddest
    first: ``family, model, benchmark, observed``; ``median, q5, q25, q75, q95`` of the excess over what was expected
    (score units); ``tail``, a two-sided tail probability; ``q_value``, the share of false flags to expect if this row
    and all odder ones of its kind were flagged; ``flag`` ("too good", "too bad" or empty); ``basis``, what the
    expectation has seen, and ``pareto_k`` where it was reweighted.
    """

    drawn_by = "plot_anomalies"
    front = ("kind", "who", "benchmark", "observed", "median", "q5", "q95", "flag", "q_value")

    false_flags: float = 0.1
    tasks: tuple[str, ...] = ()

    def summary(self) -> pd.DataFrame:
        """Return what is read first: of every task asked for its oddest scores, then all else that is flagged.

        ``who`` is the model, or the family of an offset.
        """
        table = self.table
        asked = (table["kind"] == "score") & table["benchmark"].isin(self.tasks)
        rank = table[asked].groupby("benchmark", sort=False).cumcount()
        is_first = asked & (rank.reindex(table.index) < _ODDEST)
        chosen = table[is_first | (table["flag"] != "")]
        order = pd.DataFrame({"family": chosen["kind"] == "family", "other": ~asked[chosen.index]})
        rows = chosen.loc[order.sort_values(["family", "other"], kind="stable").index]
        rows = rows.assign(who=rows["model"].where(rows["model"] != "", rows["family"]))
        return rows[list(self.front)].reset_index(drop=True)


def anomalies(fit: CapabilityFit, *, false_flags: float = 0.1) -> Anomalies:
    """Flag scores that are too good or too bad for the other ones.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file. Tasks that it was asked for are judged too.
    false_flags : float
        Share of flags that may be false, for each kind of row, between 0 and 1.

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

    *Families*, which sparse tables are fitted without. The excess is what the family's offset on the benchmark adds to
    the expected scores of its models with seen scores, on average. ``tail`` is twice the posterior probability that the
    offset has the other sign, and is flagged where it is at most `false_flags`; ``q_value`` is the running mean of that
    probability, the share of wrong signs to expect among this row and all surer ones (the s-value of Stephens 2017).
    Offsets shrink to their population: a benchmark on which families differ much anyway needs a larger one. What an
    anchor that shares its factor with few other benchmarks measures is that factor: a family's strength on HumanEval is
    its code capability, and no offset.

    A flag is a question, not a verdict: contamination, a harness that scores differently, a training mix that favours
    one benchmark, and a wrong entry in the table look the same.
    """
    if not 0 < false_flags < 1:
        raise InputError(f"The share of false flags is {false_flags}: give a fraction between 0 and 1, such as 0.1.")
    single = pd.concat([_left_out_scores(fit), *(_task_scores(fit, task) for task in _tasks(fit))], ignore_index=True)
    single["q_value"] = false_discovery_control(single["tail"])
    parts = [single.assign(kind="score")]
    if not fit.layout.structure.is_sparse:
        grouped = _family_offsets(fit)
        parts.append(grouped.assign(kind="family", q_value=_running_share(grouped["tail"].to_numpy() / 2)))
    table = pd.concat(parts, ignore_index=True)
    sign = np.where(table["median"] > 0, TOO_GOOD, TOO_BAD)
    odd = np.where(table["kind"] == "score", table["q_value"], table["tail"]) <= false_flags
    table["flag"] = np.where(odd, sign, "")
    first = ["kind", "family", "model", "benchmark", "observed", *LEVELS, *_JUDGED]
    table = table[first].sort_values(["q_value", "tail"], kind="stable").reset_index(drop=True)
    table["model"] = table["model"].fillna("")
    return Anomalies(table, _sentences(table, false_flags), fit.problems, {}, false_flags, tuple(_tasks(fit)))


def _tasks(fit: CapabilityFit) -> list[str]:
    return [task for task in fit.tasks if fit.posterior.has_head(task)]


def _left_out_scores(fit: CapabilityFit) -> pd.DataFrame:
    left_out = predict_left_out(fit)
    rows = left_out.to_dataframe().dropna(subset="pit").reset_index()
    names = list(fit.layout.benchmarks)
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


def _task_scores(fit: CapabilityFit, task: str) -> pd.DataFrame:
    """Observed scores on a task against draws of a new evaluation."""
    observed = fit.table.matrix([task])[task].dropna()
    made = forecast(fit, list(observed.index), tasks=task)
    draws = made.samples(task)
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


def _family_offsets(fit: CapabilityFit) -> pd.DataFrame:
    """What offsets add to the scores of a family's models, benchmarks first, then tasks."""
    posterior, layout = fit.posterior, fit.layout
    everyone = posterior.models()
    nobody = everyone._replace(effects={name: np.zeros_like(value) for name, value in everyone.effects.items()})
    names = [*layout.benchmarks, *_tasks(fit)]
    added = posterior.expected(everyone, names) - posterior.expected(nobody, names)
    # Benchmarks are read off the complete predictor set, which may have seen more of them than the first one.
    seen = posterior.seen[names].assign(
        **dict(zip(layout.benchmarks, np.asarray(layout.measurements[posterior.complete].seen).T, strict=True))
    )
    observed = fit.table.matrix(names)
    rows, values = [], []
    for j, name in enumerate(names):
        is_seen = seen[name].to_numpy(bool)
        for f, family in enumerate(layout.families):
            members = np.flatnonzero((posterior.family == f) & is_seen)
            if not len(members):
                continue
            values.append(added[:, members, j].mean(axis=-1))
            rows.append(
                {
                    "family": family,
                    "benchmark": name,
                    "observed": observed[name].iloc[members].mean(),
                    "tail": _tail_of_sign(_own_offset(fit, family, name)),
                    "basis": f"offset over {counted(len(members), 'model')}",
                }
            )
    return pd.concat([pd.DataFrame(rows), interval_columns(np.stack(values, axis=1))], axis=1)


def _own_offset(fit: CapabilityFit, family: str, name: str) -> np.ndarray:
    """Draws (S,) of the offset of a family on a benchmark or task."""
    effects, layout = fit.posterior.family_effects(family), fit.layout
    if fit.posterior.has_head(name):
        return effects["task_family_offset"][:, layout.tasks.index(name)]
    return effects["family_offset"][:, fit.posterior.complete, layout.benchmarks.index(name)]


def _tail_of_sign(values: np.ndarray) -> float:
    """Twice the probability of the rarer sign, as if one more draw had had it."""
    other = min((values < 0).mean(), (values > 0).mean())
    return float(min(2 * (1 + other * values.size) / (1 + values.size), 1.0))


def _running_share(wrong: np.ndarray) -> np.ndarray:
    """Expected share of wrong ones among each and all that are less likely to be wrong."""
    order = np.argsort(wrong, kind="stable")
    share = np.empty(len(wrong))
    share[order] = np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)
    return share


def _sentences(table: pd.DataFrame, false_flags: float) -> tuple[str, ...]:
    sentences = []
    for kind, what in (("score", "scores"), ("family", "offsets of families on benchmarks")):
        rows = table[table["kind"] == kind]
        if rows.empty:
            continue
        flagged = rows[rows["flag"] != ""]
        good = int((flagged["flag"] == TOO_GOOD).sum())
        wrong = false_flags * len(flagged) if kind == "score" else flagged["tail"].sum() / 2
        sentences.append(
            f"{len(flagged)} of {len(rows)} {what} flagged: {good} too good, {len(flagged) - good} too bad"
            + (f"; expect at most {wrong:.2g} of these flags to be false." if len(flagged) else ".")
        )
        # Most striking: by size, since beyond a point tail probabilities only say "few draws".
        for row in flagged.reindex(flagged["median"].abs().sort_values(ascending=False).index).head(5).itertuples():
            sentences.append(
                f"{row.flag.capitalize()}: {row.model or row.family} on {row.benchmark}, {row.median:+.3f} "
                f"(90 % interval {row.q5:+.3f} to {row.q95:+.3f}; {row.basis})."
            )
    if "in-sample" in set(table["basis"]):
        sentences.append("Task scores that the fit has seen are judged in-sample: fewer are flagged than should be.")
    return tuple(sentences)
