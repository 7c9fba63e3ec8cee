"""How many factors: numbers of them compared by how well they predict what they have not seen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.data.splits import Hides, check_dated
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import judged_benchmarks
from bayes_obscaling.evaluation.cutoff_study import cutoff_study
from bayes_obscaling.evaluation.scoring import CUTS, difference_in_words, paired_differences
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.models.spec import CapabilitySpec, spec_for
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.leave_one_out import PARETO_LIMIT, predict_left_out

# Where tasks are cut in choosing the number of factors, as shares of their published cutoffs.
_PULLED_BACK = (0.1, 0.2, 0.5)
# Shares of the dated models that were out at the dates a sparse table is cut at.
_RELEASED = (0.5, 0.65, 0.8)


@dataclass(frozen=True, eq=False, repr=False)
class FactorChoice(Finding):
    """How well each number of factors predicts.

    ``table`` has one row per number of ``factors``: ``elpd`` and ``difference`` to the best with its standard error
    ``se`` (leave-one-score-out; not of sparse tables), ``p_loo``, ``bad_k`` (scores whose Pareto k is above .7), and,
    where asked for, leave-future-out ``crps``, ``mae``, ``crps_difference`` and ``crps_se`` (over families) over
    ``cells`` forecasts.
    """

    drawn_by = "plot_factor_choice"


@shows_progress()
def compare_factors(
    table: ScoreTable,
    counts: Sequence[int] = (1, 2, 3, 4, 5),
    *,
    future: bool = True,
    dates: Sequence[str] = (),
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> FactorChoice:
    """Return how well each number of factors predicts what its fit has not seen.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    counts : sequence of int
        Numbers of factors, 1 to 8.
    future : bool
        Add the leave-future-out score (many fits: minutes per count). Of a sparse table it is the only score.
    dates : sequence of str
        As-of dates of the leave-future-out score, in place of pulled-back cutoffs. Default of a sparse table: when a
        half, .65 and .8 of its models were released.
    spec : CapabilitySpec, optional
        All else that is believed; default as of `bayes_obscaling.fit`.
    chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`; finished fits of the leave-future-out score are kept in the cache too.

    Raises
    ------
    InputError
        For no counts or an impossible one; with `future`, when no task has a published cutoff and no date is given, or
        nothing can be judged at a date; without it, for a sparse table or dates.

    Notes
    -----
    *Leave-one-out* is over single benchmark scores: PSIS with the model's capabilities, its family's line and its
    family's offset on the benchmark integrated out (`bayes_obscaling.results.leave_one_out`). Capabilities belong to
    models, so that the question is "this model's other scores are known, what is this one?"; a new model, or a new
    family, is another question.

    *Leave-future-out*: the tasks are pulled back to a tenth, a fifth and a half of their published cutoffs and forecast
    up to these; every model beyond the largest published cutoff and every task score beyond its task's own are taken
    out of the table first, so that no score that the published setups hold out enters the choice.
    """
    check_sampling(chains, draws, seed)
    base = spec or spec_for(table)
    is_sparse = base.cells == "sparse"
    by_date = is_sparse or bool(dates)
    if by_date and not future:
        raise InputError("Numbers of factors of a sparse table, or by date, are compared by leave-future-out alone.")
    wanted = sorted(dict.fromkeys(int(k) for k in counts))
    if not wanted:
        raise InputError("No number of factors was given: name some, such as 1:5.")
    specs = {k: CapabilitySpec(**{**base.model_dump(), "n_factors": k}) for k in wanted}
    options: dict[str, Any] = {"chains": chains, "draws": draws, "seed": seed, "cache": cache}
    frame = pd.DataFrame({"factors": wanted})
    problems: list[str] = []
    sentences: list[str] = []
    if not is_sparse:
        frame, problems = _leave_score_out(table, specs, progress, options)
        sentences.append(_loo_sentence(frame))
    if future:
        parts = _by_date(table, dates) if by_date else _pulled_back(table)
        scored, more = _leave_future_out(parts, specs, progress, options)
        frame = frame.merge(scored, on="factors", how="left")
        problems += more
        what = f"of models released since {', '.join(str(part.cuts[0]) for part in parts)}"
        sentences.append(_future_sentence(frame, what if by_date else "below the published cutoffs"))
    return FactorChoice(frame, tuple(sentences), tuple(problems))


def _leave_score_out(
    table: ScoreTable, specs: dict[int, CapabilitySpec], progress: Progress, options: dict[str, Any]
) -> tuple[pd.DataFrame, list[str]]:
    """Log densities of scores left out, by number of factors, and what went wrong in sampling."""
    pointwise, rows, problems = {}, [], []
    for count, spec in specs.items():

        def tell(label: str, done: int, total: int, count: int = count) -> None:
            if progress:
                progress(f"{count} factors: {label}", done, total)

        fitted = fit_table(table, table.benchmark_names, spec=spec, progress=tell, **options)
        problems += [f"{count} factors: {problem}" for problem in fitted.problems]
        left_out = predict_left_out(fitted)
        elpd = left_out["elpd"].to_numpy()
        pointwise[count] = elpd[np.isfinite(elpd)]
        rows.append(
            {
                "factors": count,
                "elpd": pointwise[count].sum(),
                "p_loo": left_out.attrs["p_loo"],
                "bad_k": int((left_out["pareto_k"] > PARETO_LIMIT).sum()),
                "scores": len(pointwise[count]),
            }
        )
    frame = pd.DataFrame(rows)
    best = pointwise[int(frame.loc[frame["elpd"].idxmax(), "factors"])]
    frame["difference"] = [(values - best).sum() for values in pointwise.values()]
    frame["se"] = [np.sqrt(len(values)) * (values - best).std() for values in pointwise.values()]
    return frame, problems


def _future_sentence(frame: pd.DataFrame, what: str) -> str:
    leader = frame.loc[frame["crps"].idxmin()]
    apart = [
        f"{row.factors}: {difference_in_words(row.crps_difference, row.crps_se)}"
        for row in frame[frame["factors"] != leader["factors"]].itertuples()
    ]
    return (
        f"Leave-future-out: {leader['factors']:.0f} factors forecast best (CRPS {leader['crps']:.4f} over "
        f"{leader['cells']:.0f} scores {what}); {', '.join(apart) or 'no others'}."
    )


def _loo_sentence(frame: pd.DataFrame) -> str:
    best = int(frame.loc[frame["elpd"].idxmax(), "factors"])
    others = frame[frame["factors"] != best]
    apart = ", ".join(f"{row.factors}: {row.difference:.1f} +- {row.se:.1f}" for row in others.itertuples())
    return (
        f"Leave-one-score-out: {best} factors predict best; difference of log density, +- standard "
        f"error, {apart or 'to none'}. "
        f"Pareto k above {PARETO_LIMIT} for at most {frame['bad_k'].max()} of {frame['scores'].max()} scores."
    )


def before_cutoffs(table: ScoreTable) -> ScoreTable:
    """The table less all that the published setups hold out: what a choice may be based on.

    Models beyond the largest published cutoff, or of unknown compute, are dropped, and scores on a task of models
    beyond that task's own cutoff.
    """
    models, cutoffs = table.models, table.benchmarks["cutoff_flops"].dropna()
    if cutoffs.empty:
        raise InputError("No task of the table has a published cutoff: leave out the leave-future-out score.")
    slack = 1 + 1e-9
    kept = models[models["flops"] <= cutoffs.max() * slack]
    scores = table.scores[table.scores["model"].isin(kept.index)]
    limit = scores["benchmark"].map(table.benchmarks["cutoff_flops"]).fillna(np.inf)
    early = scores["model"].map(models["flops"]) <= limit * slack
    return ScoreTable(kept, table.benchmarks, scores[early], table.notes)


class _Part(NamedTuple):
    """Names that are forecast at some cuts of a table."""

    table: ScoreTable
    names: list[str]
    cuts: list[float] | list[str]
    hides: Hides


def _pulled_back(table: ScoreTable) -> list[_Part]:
    """Tasks that count items, at shares of their published cutoffs."""
    early = before_cutoffs(table)
    facts = early.benchmarks.loc[early.task_names]
    facts = facts[facts["cutoff_flops"].notna() & facts["n_items"].notna()]
    return [
        _Part(early, list(group.index), [share * float(str(cutoff)) for share in _PULLED_BACK], "task")
        for cutoff, group in facts.groupby("cutoff_flops", sort=False)
    ]


def _by_date(table: ScoreTable, dates: Sequence[str]) -> list[_Part]:
    """Benchmarks, at dates."""
    check_dated(table)
    years = years_of(table.models["date"])
    chosen = list(dates) or [date_at(float(at)) for at in np.nanquantile(years, _RELEASED)]
    splits = {str(split.as_of): split for split in (Split.by_date(table, date, "all") for date in chosen)}
    parts = [_Part(table, list(judged_benchmarks(table, splits[date])), [date], "all") for date in sorted(splits)]
    if empty := [part.cuts[0] for part in parts if not part.names]:
        problem = f"No benchmark has three scores of models released before {empty[0]} and one of a later model"
        raise InputError(problem, "give other dates")
    return parts


def _leave_future_out(
    parts: Sequence[_Part], specs: dict[int, CapabilitySpec], progress: Progress, options: dict[str, Any]
) -> tuple[pd.DataFrame, list[str]]:
    """Scores of forecasts from earlier cuts, by number of factors."""
    names = {str(k): chosen for k, chosen in specs.items()}
    cells = []
    with tempfile.TemporaryDirectory() as scratch:
        cache = options["cache"]
        folder = Path(cache) / "factor_choice" if cache is not None else Path(scratch)
        for part in parts:
            asked = {"specs": names, "hides": part.hides, "methods": (), "progress": progress, **options}
            study = cutoff_study(part.table, part.names, part.cuts, folder, **asked)
            if study.failures:
                raise InputError(f"A fit of the leave-future-out score failed: {next(iter(study.failures.values()))}.")
            cells.append(study.cells)
    joined = pd.concat(cells, ignore_index=True)
    cut = next(name for name in CUTS if name in joined)
    fits = joined.groupby(["spec", cut])["converged"].all()
    bad = int((~fits.astype(bool)).sum())
    problems = [f"leave-future-out: {bad} of {len(fits)} fits have not converged; take more draws"] if bad else []
    # Whose forecast it is stands in `method`: so specs are compared as methods are.
    joined = joined.assign(method=joined["spec"], setup=joined[cut].astype(str)).drop(columns="spec")
    scored = joined.groupby("method").agg(crps=("crps", "mean"), mae=("median", "size"), cells=("crps", "size"))
    scored["mae"] = (joined["median"] - joined["observed"]).abs().groupby(joined["method"]).mean()
    best = str(scored["crps"].idxmin())
    apart = paired_differences(joined, best, (), "crps").set_index("method")
    scored["crps_difference"], scored["crps_se"] = -apart["difference"], apart["se"]
    scored.loc[best, ["crps_difference", "crps_se"]] = 0.0
    return scored.rename_axis("factors").reset_index().astype({"factors": int}), problems
