"""Stacking: weights of specs by how well they predict scores that they have not seen (Yao et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.dates import cut_date, date_at, years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.scoring import difference_in_words, paired_differences
from bayes_obscaling.inference.fit import fit_table, split_of
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.models.spec import CapabilitySpec, spec_for
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.densities import log_predictive
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.leave_one_out import PARETO_LIMIT, leave_one_out
from bayes_obscaling.results.stacked import STACK, Stack

By = Literal["leave-future-out", "leave-one-out"]
# Earlier cuts: shares of the forecast's own cutoff, or without one quantiles of compute; months before its date.
SHARES = (0.1, 0.2, 0.5)
QUANTILES = [0.5, 0.7, 0.85]
MONTHS = (12, 6, 3)
_FEWEST_SEEN = 5  # models scored on a task below an earlier cut; of fewer a curve says nothing
_ENOUGH = 2.0  # standard errors
_STEPS, _GAP = 10_000, 1e-9
_LEAST = 1e-4  # weight, and difference of log scores, that is taken for none


def stacking_weights(log_densities: np.ndarray) -> np.ndarray:
    """Weights (K,) on the simplex that maximise the mean log of the weighted densities: Yao et al. (2018), eq. 4.

    Parameters
    ----------
    log_densities : array (N, K)
        Log predictive densities of N held-out scores under K specs.

    Notes
    -----
    The maximum is unique but for specs that predict alike, among which weight stays even. It is found by the fixed
    point that also fits proportions of mixtures, which never leaves the simplex; at the maximum no spec's density is
    on average larger than the mixture's, relative to it. `arviz_stats.compare` maximises the same, but takes densities
    that underflow.
    """
    density = np.exp(log_densities - log_densities.max(axis=1, keepdims=True))
    weights = np.full(density.shape[1], 1.0 / density.shape[1])
    for _ in range(_STEPS):
        pull = (density / (density @ weights)[:, None]).mean(axis=0)
        weights = weights * pull
        if pull.max() < 1.0 + _GAP:
            break
    weights = np.where(weights < _LEAST, 0.0, weights)
    return np.asarray(weights / weights.sum())


def default_specs(table: ScoreTable) -> dict[str, CapabilitySpec]:
    """Specs that are stacked unless others are named: the default of the table, and it with one thing changed.

    One factor less, logistic curves (of dense tables the whole model of the literature), and no drift.
    """
    base = spec_for(table)
    is_dense = base.cells == "dense"
    logistic = CapabilitySpec.logistic() if is_dense else CapabilitySpec.frontier(curve="logistic")
    fewer = base.n_factors - 1
    return {
        "default": base,
        counted(fewer, "factor"): CapabilitySpec(**{**base.model_dump(), "n_factors": fewer}),
        "logistic": logistic,
        "no drift": CapabilitySpec(**{**base.model_dump(), "drift": "none"}),
    }


@shows_progress()
def stack(
    table: ScoreTable,
    tasks: str | Sequence[str],
    specs: Mapping[str, CapabilitySpec] | None = None,
    *,
    by: By = "leave-future-out",
    earlier: Sequence[float] | Sequence[str] | None = None,
    cutoff: float | None = None,
    as_of: str | None = None,
    from_compute: bool | Sequence[str] = False,
    split: Split | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> Stack:
    """Return several specs fitted to the same scores, with the weights that predict unseen scores best.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or sequence of str
        What to forecast; one set of weights serves all.
    specs : mapping of str to CapabilitySpec, optional
        Two or more, by name; default `default_specs`.
    by : {"leave-future-out", "leave-one-out"}
        How unseen scores are predicted, see Notes.
    earlier : sequence of float or str, optional
        Cutoffs (FLOPs), or dates where the forecast is cut by date, from which scores are predicted up to the
        forecast's own cut. Default a tenth, a fifth and a half of its cutoff, or 12, 6 and 3 months before its date;
        without either, the compute below which 50, 70 and 85 % of the models are whose scores are seen.
    cutoff, as_of, from_compute, split
        Whose scores the forecast may not see; as in `bayes_obscaling.fit`. The weights do not see them either.
    chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`. A cache spares sampling the same capabilities at each cut.

    Raises
    ------
    InputError
        As `bayes_obscaling.fit`; for less than two specs, for cuts that are not earlier, when no earlier cut leaves
        scores to learn from and to predict, and for leave-one-out on a sparse table.

    Notes
    -----
    *Leave-future-out*: the tasks are fitted at earlier cuts, and the scores between these and the forecast's own cut
    are predicted. Capabilities come from the same benchmark scores as those of the forecast.

    *Leave-one-out*: from the forecast's own fits, each seen task score left out by importance sampling
    (`bayes_obscaling.results.leave_one_out`). It asks how well specs interpolate, not how well they extrapolate, and
    fits nothing besides.

    *Is one spec enough?* The stack is scored by weights that were chosen without the family that is scored, as the
    weights would else be judged by the scores they were chosen on; the best spec is the one with the lowest log score
    over all. Scores of a family err together, so standard errors come from resampling whole families.
    """
    specs = default_specs(table) if specs is None else dict(specs)
    if by not in ("leave-future-out", "leave-one-out"):
        raise InputError(f"by is {by!r}", "take 'leave-future-out' or 'leave-one-out'")
    if len(specs) < 2:
        raise InputError(f"There {'is one spec' if specs else 'are no specs'} to stack", "name two or more")
    if STACK in specs:
        raise InputError(f"A spec is called '{STACK}', as their mixture is", "give it another name")
    check_sampling(chains, draws, seed)
    names = table.resolve_all(tasks)
    split = split_of(table, cutoff, as_of, from_compute, split)
    options: dict[str, Any] = {"chains": chains, "draws": draws, "seed": seed, "cache": cache}
    cuts: dict[str, Split] = {}
    if by == "leave-future-out":
        cuts = _earlier_splits(table, names, split, earlier)
    elif earlier is not None:
        raise InputError("Earlier cuts are of leave-future-out", "leave them out")
    elif any(spec.cells == "sparse" for spec in specs.values()):
        raise InputError("Specs of a sparse table are not weighed by leave-one-out", "weigh by leave-future-out")
    members, parts, weighing = {}, [], []
    for name, spec in specs.items():
        members[name] = fit_table(table, names, split=split, spec=spec, progress=_telling(progress, name), **options)
        if by == "leave-one-out":
            parts.append(_left_out(members[name], names).assign(spec=name))
            continue
        early_fits = []
        for label, early in cuts.items():
            asked = [task for task in names if _judged(table, task, split, early)]
            tell = _telling(progress, f"{name}, {label}")
            fitted = fit_table(table, asked, split=early, spec=spec, progress=tell, **options)
            early_fits.append(fitted)
            parts.append(_ahead(fitted, asked, split).assign(cut=label, spec=name))
        weighing += _unsound(f"{by}, {name}", early_fits)
    held_out = pd.concat(parts, ignore_index=True)
    return stack_of(members, held_out, by, tuple(weighing))


def stack_of(
    members: Mapping[str, CapabilityFit], held_out: pd.DataFrame, by: str, weighing: tuple[str, ...] = ()
) -> Stack:
    """Return the stack of fits whose predictions of held-out scores are known.

    Parameters
    ----------
    members : mapping of str to CapabilityFit
        The fit of each spec.
    held_out : DataFrame
        One row per held-out score and spec: ``spec, cut, task, model, family, observed, log_density``.
    by : str
        How they were held out.
    weighing : tuple of str
        What went wrong in sampling the fits that predicted them.
    """
    wide = held_out.pivot_table(index=["cut", "task", "model", "family"], columns="spec", values="log_density")
    wide = wide[list(members)].dropna()
    if wide.empty:
        raise InputError("No score was predicted by every spec", "take others, or other cuts")
    densities, family = wide.to_numpy(), wide.index.get_level_values("family").to_numpy()
    weights = stacking_weights(densities)
    scores = pd.DataFrame(-densities, columns=list(members)).assign(**{STACK: _score_of_stack(densities, family)})
    table = _compared(scores.set_index(wide.index))
    table.insert(1, "weight", [*weights, np.nan])
    singles = table[table["spec"] != STACK].set_index("spec")
    best = str(singles["log_score"].idxmin())
    apart, se = singles.loc[best, ["difference", "se"]]
    enough = not apart < -max(_ENOUGH * se, _LEAST)  # with one family there is no standard error: nothing to tell
    problems = [f"{name}: {problem}" for name, fit in members.items() for problem in fit.problems]
    return Stack(
        table,
        _sentences(table, by, best, enough, held_out),
        (*problems, *weighing),
        {"held_out": held_out},
        members=dict(members),
        by=by,
        best=best,
        single_is_enough=enough,
        weighing=weighing,
    )


# --- held-out scores ----------------------------------------------------------------------------------------------


def _earlier_splits(
    table: ScoreTable, names: list[str], split: Split, earlier: Sequence[float] | Sequence[str] | None
) -> dict[str, Split]:
    """Splits at earlier cuts that leave scores to learn from and to predict, by what they are called."""
    models = table.models
    if split.as_of is not None:
        own = float(years_of(split.as_of))
        cuts: list[Any] = [date_at(own - month / 12) for month in MONTHS] if earlier is None else list(earlier)
        late = [cut for cut in cuts if not isinstance(cut, str) or cut_date(cut) >= split.as_of]
        where = split.as_of
    else:
        scored = table.matrix(names).notna().any(axis=1).to_numpy() & split.seen(models.index)
        known = models["flops"][scored].dropna()
        if known.empty:
            raise InputError("No model whose score is seen has known compute", "take leave-one-out instead")
        limit = split.cutoff or float(known.max())
        usual = [share * limit for share in SHARES] if split.cutoff else known.quantile(QUANTILES, "lower").tolist()
        cuts = usual if earlier is None else list(earlier)
        late = [cut for cut in cuts if isinstance(cut, str) or not cut < limit]
        where = f"{limit:.3g} FLOPs"
    if late:
        raise InputError(f"The cut {late[0]} is not earlier than {where}, that of the forecast", "take an earlier one")
    found = {}
    for cut in cuts:
        try:
            early = Split.at(table, cut, split.hides)
        except InputError:  # no model is that early
            continue
        both = replace(
            early,
            held_out=tuple(dict.fromkeys((*early.held_out, *split.held_out))),
            hidden=tuple(dict.fromkeys((*early.hidden, *split.hidden))),
            cells=split.cells,
        )
        if any(_judged(table, task, split, both) for task in names):
            found[early.cut_in_words] = both
    if not found:
        raise InputError(
            f"No cut before {where} leaves {_FEWEST_SEEN} scores of a task to learn from and others to predict",
            "name earlier cuts, or take leave-one-out instead",
        )
    return found


def _judged(table: ScoreTable, task: str, split: Split, early: Split) -> list[str]:
    """Models that an earlier cut holds out and the forecast's own does not; none where too few are left to learn."""
    observed = split.masked(table.matrix([task]))[task].dropna()
    if early.seen(observed.index).sum() < _FEWEST_SEEN:
        return []
    between = observed.index[split.seen(observed.index) & ~early.seen(observed.index)]
    facts = table.models.loc[between]
    # An unknown place is no later one.
    known = facts["flops"].notna() if early.as_of is None else facts["date"] != ""
    return list(between[known])


def _ahead(fitted: CapabilityFit, names: Sequence[str], split: Split) -> pd.DataFrame:
    """Log densities of the scores between the cut of a fit and that of the forecast."""
    table, rows = fitted.table, []
    for task in names:
        models = _judged(table, task, split, fitted.split)
        observed = table.matrix([task]).loc[models, task].to_numpy()
        facts = {"model": models, "family": table.models.loc[models, "family"].to_numpy(), "observed": observed}
        density = log_predictive(fitted, task, models, observed)
        rows.append(pd.DataFrame({"task": task, **facts, "log_density": density}))
    return pd.concat(rows, ignore_index=True)


def _unsound(label: str, fits: Sequence[CapabilityFit]) -> list[str]:
    """How many fits have not converged, and the worst of them: they share capabilities, which are named once."""
    bad = [fit.worst_convergence for fit in fits if fit.problems]
    if not bad:
        return []
    return [f"{label}: {len(bad)} of {len(fits)} fits have not converged ({reduce(Convergence.merge, bad).numbers})"]


def _left_out(fitted: CapabilityFit, names: Sequence[str]) -> pd.DataFrame:
    """Log densities of the seen scores of some tasks, each left out."""
    stages, layout = leave_one_out(fitted), fitted.layout
    parts = []
    for task in names:
        scores = (stages[-1] if task in layout.tasks else stages[fitted.posterior.complete]).scores
        parts.append(scores[scores["benchmark"] == task])
    scores = pd.concat(parts, ignore_index=True).rename(columns={"benchmark": "task", "elpd": "log_density"})
    family = fitted.table.models.loc[scores["model"], "family"].to_numpy()
    columns = ["cut", "task", "model", "family", "observed", "log_density", "pareto_k"]
    return scores.assign(cut="", family=family)[columns]


# --- weights and scores -------------------------------------------------------------------------------------------


def _score_of_stack(densities: np.ndarray, family: np.ndarray) -> np.ndarray:
    """Negative log density (N,) of each score under the mixture whose weights were chosen without its family."""
    result, names = np.empty(len(family)), np.unique(family)
    for name in names:
        here = family == name
        weights = stacking_weights(densities[~here] if len(names) > 1 else densities)
        with np.errstate(divide="ignore"):
            result[here] = -np.logaddexp.reduce(densities[here] + np.log(weights), axis=1)
    return result


def _compared(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean log score of each column, and that of the stack less it."""
    long = scores.melt(var_name="method", value_name="log_score", ignore_index=False).reset_index()
    cells = long.rename(columns={"cut": "setup"}).assign(median=np.nan, observed=np.nan)
    apart = paired_differences(cells, STACK, metric="log_score").set_index("method")
    table = pd.DataFrame({"spec": list(scores), "log_score": scores.mean().to_numpy()})
    columns = ["difference", "se"]
    table[columns] = apart.reindex(table["spec"])[columns].to_numpy()
    families = scores.index.get_level_values("family").nunique()
    return table.assign(n=len(scores), families=families)


def _sentences(table: pd.DataFrame, by: str, best: str, enough: bool, held_out: pd.DataFrame) -> tuple[str, ...]:
    whole, single = (table[table["spec"] == name].iloc[0] for name in (STACK, best))
    shares = ", ".join(f"{row.spec} {row.weight:.2f}" for row in table.itertuples() if row.spec != STACK)
    cuts = [cut for cut in dict.fromkeys(held_out["cut"]) if cut]
    since = f" from {', '.join(cuts)}" if cuts else ""
    told = (
        f"not {_ENOUGH:.0f} standard errors better: a single spec is enough, {best}"
        if enough
        else f"more than {_ENOUGH:.0f} standard errors better: no single spec is enough"
    )
    spoken = [
        f"Weights by {by} over {whole['n']} forecasts of {whole['families']} families{since}: {shares}.",
        f"Log score of the stack, each family by weights chosen without it, {whole['log_score']:.3f}, of the best spec "
        f"({best}) {single['log_score']:.3f} ({difference_in_words(single['difference'], single['se'], 3)}): the stack "
        f"is {told}.",
    ]
    if "pareto_k" in held_out and (far := int((held_out["pareto_k"] > PARETO_LIMIT).sum())):
        spoken.append(
            f"Pareto k is above {PARETO_LIMIT} for {far} of {len(held_out)} densities: their values are unsure."
        )
    return tuple(spoken)


def _telling(progress: Progress, name: str) -> Progress:
    """The progress of one spec's fits."""
    if not progress:
        return progress

    def tell(label: str, done: int, total: int) -> None:
        progress(f"{name}: {label}", done, total)

    return tell
