"""Backtests: fit below a split, forecast the held-out models, score against what they reached and against baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.names import unknown
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import BASELINES, STANDARD, baseline
from bayes_obscaling.evaluation.scoring import (
    CUTS,
    OURS,
    difference_in_words,
    paired_differences,
    score_draws,
    score_points,
    score_table,
)
from bayes_obscaling.files import write_atomically
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.spec import CapabilitySpec, spec_for
from bayes_obscaling.progress import Progress
from bayes_obscaling.results.fans import families_to_follow, fans
from bayes_obscaling.results.finding import Answer
from bayes_obscaling.results.forecast import Forecast, forecast

# Upper edges of bins: of decades of compute beyond the cutoff, which hold them, and of months ahead, which hold their
# lower ones instead, as a model that was released on the as-of date is zero months ahead.
DISTANCE_BINS = {"up to 0.5": 0.5, "0.5 to 1": 1.0, "more than 1": np.inf}
MONTH_BINS = {"before": 0.0, "0 to 3": 3.0, "3 to 6": 6.0, "6 to 12": 12.0, "12 or more": np.inf}
_FIRST = ["setup", "task", "method", "model", "family", "flops", "distance", "date", "months_ahead", "observed"]
_FEWEST_SEEN = 3  # scores of a benchmark from which it is forecast
BASELINE_DRAWS = 200  # bootstrap replicates of the literature


@dataclass(frozen=True, eq=False, repr=False)
class Backtest(Answer):
    """Scored forecasts.

    Attributes
    ----------
    cells : DataFrame
        One row per setup, task, method and held-out model with an observed score: ``setup, task, method, model, family,
        flops, distance`` (decades of compute beyond the cutoff, or beyond the models leaned on), ``date`` of release,
        ``months_ahead`` (of the as-of date or, without one, of the latest model whose score on the task was seen),
        ``observed, mean, median, sd``, the quantiles of forecast.csv, ``crps, log_score, pit``, of ours the sampler's
        verdict: ``converged, rhat, ess_bulk, ess_tail, divergences``, and ``cutoff`` or ``as_of``, where it was cut.
    problems : tuple of str
        What went wrong in sampling.
    fans : DataFrame, optional
        What was expected of new models when it was cut: `bayes_obscaling.results.fans.fans` with ``cutoff`` or
        ``as_of``, if asked for.
    """

    front = ("spec", "setup", *CUTS, "task", "method", "n", "mae", "crps", "coverage_50", "coverage_90")

    cells: pd.DataFrame
    problems: tuple[str, ...] = ()
    fans: pd.DataFrame | None = None

    def to_dataframe(self) -> pd.DataFrame:
        """Mean scores by spec (where there are several), setup, cutoff or as-of date, task and method."""
        return self.scores([name for name in ("spec", "setup", *CUTS, "task", "method") if name in self.cells])

    @property
    def sentences(self) -> tuple[str, ...]:
        """How well our forecasts score, and how they compare with each baseline's."""
        return comparison_sentences(self.cells)

    def plot(self, ax: Any = None, *, kind: str = "forest", **options: Any) -> Any:
        """Draw the scored forecasts.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.
        kind : {"forest", "coverage", "pit", "distance", "months", "error"}
            Scores by task and method, coverage of the intervals, the PIT of one method, errors by distance beyond
            the cutoff or by months ahead, or by cutoff or as-of date where there are several.
        **options
            Of the function of `bayes_obscaling.evaluation.cells` that makes the table: ``by_task, coverage, pit,
            by_distance, by_months, error_by_cutoff``.
        """
        from bayes_obscaling.evaluation import drawing

        return drawing.plot(self, kind, ax, options)

    def scores(self, by: Sequence[str] = ("setup", "task", "method")) -> pd.DataFrame:
        """Mean scores by group; see `bayes_obscaling.evaluation.scoring.score_table`."""
        return score_table(self.cells, by)

    def by_distance(self, by: Sequence[str] = ("method",)) -> pd.DataFrame:
        """Mean scores by decades of compute beyond the cutoff."""
        return self._binned("distance", "decades", DISTANCE_BINS, by, right=True)

    def by_months(self, by: Sequence[str] = ("method",)) -> pd.DataFrame:
        """Mean scores by months ahead; "before" are models released before the latest one whose score was seen."""
        return self._binned("months_ahead", "months", MONTH_BINS, by, right=False)

    def _binned(self, what: str, name: str, bins: dict[str, float], by: Sequence[str], right: bool) -> pd.DataFrame:
        binned = in_bins(self.cells[what], bins, right=right)
        rows = score_table(self.cells.assign(**{name: binned}), (name, *by))
        return rows.sort_values(name, key=lambda column: column.map([*bins, "unknown"].index), kind="stable")

    def differences(self, by: Sequence[str] = (), metric: str = "crps") -> pd.DataFrame:
        """Our mean score less each baseline's, with standard errors over families; negative is better."""
        return paired_differences(self.cells, OURS, by, metric)

    def save(self, path: str | Path) -> Path:
        """Write ``cells.csv``, ``scores.csv`` and, if there are any, ``fans.csv`` into a folder; return the folder.

        Each is written whole or not at all.

        Raises
        ------
        InputError
            When the folder cannot be written.
        """
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, frame in (("cells", self.cells), ("scores", self.to_dataframe()), ("fans", self.fans)):
                if frame is not None:
                    write_atomically(folder / f"{name}.csv", frame.to_csv(index=False).encode())
        except OSError as error:
            raise InputError(f"{folder} cannot be written ({error.strerror or error}): give another folder.") from error
        return folder

    @classmethod
    def read(cls, folder: str | Path) -> Backtest:
        """Return the backtest, or the study as one, whose ``cells.csv`` and ``fans.csv`` `save` has written.

        Raises
        ------
        InputError
            When there is none.
        """
        path, drawn = Path(folder) / "cells.csv", Path(folder) / "fans.csv"
        try:
            cells = pd.read_csv(path, encoding="utf-8")
            how: dict[str, Any] = {"encoding": "utf-8", "keep_default_na": False, "na_values": {"flops": [""]}}
            fans = pd.read_csv(drawn, **how) if drawn.is_file() else None
            ours = cells[cells["method"] == OURS]
            bad = int((~ours["converged"].astype(bool)).sum()) if "converged" in ours else 0
        except (OSError, KeyError, ValueError) as error:
            remedy = "name the folder that backtest or cutoffs wrote with --output"
            raise InputError(f"There are no scored forecasts in {folder}", remedy) from error
        problems = (f"{bad} of {len(ours)} forecasts are from fits that have not converged",) if bad else ()
        return cls(cells, problems, fans)

    @staticmethod
    def join(parts: Iterable[Backtest]) -> Backtest:
        """Put backtests together."""
        parts = list(parts)
        problems = tuple(dict.fromkeys(problem for part in parts for problem in part.problems))
        return Backtest(
            pd.concat([part.cells for part in parts], ignore_index=True),
            problems,
            joined_fans(part.fans for part in parts),
        )


def joined_fans(parts: Iterable[pd.DataFrame | None]) -> pd.DataFrame | None:
    """Fans put together; None where there are none."""
    found = [part for part in parts if part is not None]
    return pd.concat(found, ignore_index=True) if found else None


def in_bins(values: pd.Series, bins: dict[str, float], *, right: bool) -> pd.Series:
    """Name of the bin of each value, "unknown" where there is none; `right` says that upper edges belong to it."""
    edges = [-np.inf, *bins.values()]
    return pd.cut(values, edges, right=right, labels=list(bins)).astype(object).fillna("unknown")


def backtest(
    table: ScoreTable,
    tasks: str | Sequence[str],
    split: Split,
    *,
    setup: str = "",
    methods: Sequence[str] | None = None,
    unknown_compute: bool = True,
    thresholds: Sequence[float] = (),
    follow: bool = False,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> Backtest:
    """Return scored forecasts of the held-out models of one split.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, to forecast.
    split : Split
        Who is held out. At a date, models of unknown release date are, but are not judged: they may be older. Of
        hidden cells, those of models that are older than the date are not judged either.
    setup : str
        Label of the cells; default the split's name.
    methods : sequence of str, optional
        Baselines (keys of `bayes_obscaling.evaluation.baselines.BASELINES`); default all that apply, but not those that
        read dates alone. One that cannot
        say anything of a model has no cell there.
    unknown_compute : bool
        Whether held-out models of unknown compute are judged (when everything of them is hidden, only by specs in which
        compute has a trend in time).
    thresholds : sequence of float
        Scores whose probability of being reached gets a column ``p_above_...`` of our cells.
    follow : bool
        Whether to keep what the fit expects of new models of some families along compute and date: ``fans``.
    spec, chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`.

    Raises
    ------
    InputError
        As `bayes_obscaling.fit`, for an unknown baseline, and when no held-out model has a score to compare with.
    """
    names = table.resolve_all(tasks)
    methods = list(STANDARD) if methods is None else list(methods)
    check_methods(methods)
    spec = spec or spec_for(table)
    judged = judged_models(table, names, split, unknown_compute, spec.unknown_compute == "trend")
    if empty := [name for name in names if not judged[name]]:
        raise InputError(
            f"No held-out model has a score on {empty[0]} to compare with ({split.name}): lower the cutoff, take an "
            "earlier date, or hold out models that were scored on it."
        )
    fitted = fit_table(
        table, names, split=split, spec=spec, chains=chains, draws=draws, seed=seed, cache=cache, progress=progress
    )
    everyone = dict.fromkeys([*split.held_out, *(model for model, _ in split.cells)])
    wanted = [model for model in everyone if any(model in judged[name] for name in names)]
    answer = forecast(fitted, wanted, tasks=names)
    parts = []
    for name in names:
        facts = _facts(table, name, split, answer, judged[name])
        parts.append(_our_cells(answer, name, facts, thresholds))
        parts += [baseline_cells(method, table, name, split, facts, seed) for method in methods]
    cells = pd.concat([part for part in parts if len(part)], ignore_index=True)
    cells.insert(0, "setup", setup or split.name)
    problems = tuple(f"{setup or split.name}: {problem}" for problem in answer.problems)
    kept = None
    if follow:
        families = families_to_follow(fitted, [], len(names))
        if (kept := joined_fans(fans(fitted, names, family) for family in families)) is not None:
            kept = kept.round(4).assign(**split.cut)
    return Backtest(cells[[*_FIRST, *(c for c in cells if c not in _FIRST)]].assign(**split.cut), problems, kept)


def _facts(table: ScoreTable, task: str, split: Split, answer: Forecast, models: list[str]) -> pd.DataFrame:
    """What all methods' cells say of the models judged: facts of models, where they stand, ``observed``."""
    frame = observed_facts(table, task, models)
    about = answer.about[answer.about["task"] == task].set_index("model").loc[models]
    places = {name: about[name].to_numpy() for name in ("distance", "months_ahead")}
    if split.cutoff is not None:
        places["distance"] = np.log10(frame["flops"] / split.cutoff)
    return frame.assign(**places, observed=frame.pop("observed"))


def observed_facts(table: ScoreTable, task: str, models: list[str]) -> pd.DataFrame:
    """What the table says of models judged: ``task, model, family, flops, date, observed``."""
    frame = table.models.loc[models, ["family", "flops", "date"]].reset_index()
    frame.insert(0, "task", task)
    return frame.assign(observed=table.matrix([task]).loc[models, task].to_numpy())


def _our_cells(answer: Forecast, task: str, facts: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """Cells of our forecast, with the verdict of the sampler."""
    values = answer.samples(task, facts["model"]).T
    ours = score_draws(values, facts["observed"].to_numpy())
    for threshold in thresholds:
        ours[f"p_above_{threshold:g}"] = (values >= threshold).mean(axis=1)
    verdict = {"converged": not answer.problems, **answer.convergence.model_dump(exclude={"worst"})}
    return pd.concat([facts.assign(method=OURS), ours.assign(**verdict)], axis=1)


def comparison_sentences(cells: pd.DataFrame) -> tuple[str, ...]:
    """How well our forecasts score, pooled over everything, and how they compare with each baseline's."""
    if cells.empty or OURS not in set(cells["method"]):
        return ()
    ours = score_table(cells[cells["method"] == OURS], ()).iloc[0]
    sentences = [
        f"{ours['n']} forecasts: mean absolute error {ours['mae']:.3f}, CRPS {ours['crps']:.4f}; the 50 % interval "
        f"held {ours['coverage_50']:.0%}, the 90 % interval {ours['coverage_90']:.0%}."
    ]
    sentences += [
        f"{row.method}, {row.n} scores: CRPS {row.theirs:.4f} against {row.ours:.4f} of {OURS} "
        f"({difference_in_words(row.difference, row.se)})."
        for row in paired_differences(cells, OURS).itertuples()
    ]
    return tuple(sentences)


def check_methods(methods: Sequence[str]) -> None:
    """Refuse a baseline that does not exist."""
    for name in methods:
        if name not in BASELINES:
            raise unknown("baseline", name, BASELINES, f"choose from {', '.join(BASELINES)}")


def judged_models(
    table: ScoreTable, names: Sequence[str], split: Split, unknown_compute: bool = True, has_trend: bool = False
) -> dict[str, list[str]]:
    """Models with a hidden score to compare with, by task; see `backtest` for those that are not judged.

    `has_trend` says that compute nobody published has a trend in time.
    """
    if strange := [model for model in split.held_out if model not in table.models.index]:
        raise InputError(f"Held-out model {strange[0]!r} is not in the table: make the split from the same table.")
    partly = {model for model, _ in split.cells}
    everyone = dict.fromkeys([*split.held_out, *(model for model in table.models.index if model in partly)])
    observed = table.matrix(names).loc[list(everyone)]
    is_hidden = split.masked(observed).isna().to_numpy(bool) | ~split.seen(observed.index)[:, None]
    observed = observed.where(is_hidden)
    if split.as_of is not None:
        observed = observed[table.models.loc[observed.index, "date"] >= split.as_of]
    known, is_hidden = table.models.loc[observed.index, "flops"].notna(), observed.index.isin(split.hidden)
    observed = observed[known] if not unknown_compute else observed[known | ~is_hidden | has_trend]
    return {name: list(observed.index[observed[name].notna()]) for name in names}


def judged_benchmarks(table: ScoreTable, split: Split) -> tuple[str, ...]:
    """Benchmarks of a sparse table with three or more seen scores and a hidden one to compare with."""
    seen = split.masked(table.matrix(table.benchmark_names)).notna().sum()
    judged = judged_models(table, table.benchmark_names, split, has_trend=True)
    return tuple(name for name in table.benchmark_names if seen[name] >= _FEWEST_SEEN and judged[name])


def baseline_cells(
    method: str, table: ScoreTable, task: str, split: Split, facts: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Cells of one baseline; none where it does not apply or has too little to learn from."""
    try:
        answer = baseline(method, table, task, split, draws=BASELINE_DRAWS, seed=seed)
    except InputError:
        return pd.DataFrame()
    point = answer.point.reindex(facts["model"]).to_numpy()
    able = np.isfinite(point)
    if not able.any():
        return pd.DataFrame()
    kept = facts[able].reset_index(drop=True)
    observed = kept["observed"].to_numpy()
    if answer.draws is None:
        scores = score_points(point[able], observed)
    else:
        scores = score_draws(answer.draws[kept["model"]].to_numpy().T, observed)
        scores["median"] = point[able]  # what was published is the curve of the fit itself
    return pd.concat([kept.assign(method=method), scores.assign(converged=True)], axis=1)
