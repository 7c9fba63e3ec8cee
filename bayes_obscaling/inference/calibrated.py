"""Tables of thousands of models: parameters are calibrated on a part that covers the table, others are placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.joining import fit_given
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.spec import spec_for
from bayes_obscaling.results.compact import thin
from bayes_obscaling.results.fit import CapabilityFit

PER_CHAIN = 250  # draws kept of each chain: each costs the placing of every model
DRAWS = 500  # draws of each chain: more where these do not converge
_FEWEST = 20
_PER_BENCHMARK = 20  # models that are to have a score on each benchmark, if there are


def fit_calibrated(
    table: ScoreTable,
    tasks: str | Sequence[str],
    calibrate: int,
    *,
    split: Split | None = None,
    draws: int = DRAWS,
    **options: Any,
) -> CapabilityFit:
    """Return the fit of a large table: of a part of its models, along whose draws all others are placed.

    Time and memory grow with the number of models as those of placing them do, linearly. Task scores of models outside
    the part are forecast, not seen.

    Parameters
    ----------
    table : ScoreTable
        All models.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, to forecast.
    calibrate : int
        How many models are fitted; see `calibration_models`.
    split : Split, optional
        Whose scores to hide; default none.
    draws : int
        Draws of each chain, of which 250 are kept.
    **options
        As of `bayes_obscaling.fit`: ``spec, chains, seed, cache, progress``.

    Raises
    ------
    InputError
        For fewer than 20 models, and whatever `bayes_obscaling.fit` refuses.
    """
    names, split = table.resolve_all(tasks), split or Split.all_seen()
    chosen = calibration_models(table, calibrate)
    if len(chosen) == len(table.models):
        return fit_table(table, names, split=split, draws=draws, **options)
    if spec_for(table).cells == "sparse":
        raise InputError("A sparse table is fitted as a whole", "leave out calibrate")
    # anchors are those of the whole table: they are chosen by numbers of scores, which the part has fewer of
    spec = options.pop("spec", None) or spec_for(table)
    factors = lay_out(table, names, split, spec).factors
    options["spec"] = spec.model_copy(update={"anchors": factors, "n_factors": len(factors)})
    part = thin(fit_table(table.select(chosen), names, split=split, draws=draws, **options), PER_CHAIN)
    left = set(table.models.index) - set(chosen)
    scores = table.scores
    others = scores[scores["model"].isin(left) & scores["benchmark"].isin(table.task_names)]
    masked = replace(split, cells=(*split.cells, *zip(others["model"], others["benchmark"], strict=True)))
    given = {name: options[name] for name in ("seed", "cache", "progress") if name in options}
    fit = fit_given(part, table, names, split=masked, **given)
    families = table.models["family"]
    note = (
        f"calibrated on {len(chosen)} of {len(families)} models, of {families[chosen].nunique()} of "
        f"{families.nunique()} families; all others are placed given that fit"
    )
    return replace(fit, notes=(*(text for text in fit.notes if not text.startswith("placed given")), note))


def calibration_models(table: ScoreTable, count: int) -> list[str]:
    """Return models that cover the families, compute, dates and benchmarks of a table, in table order.

    Families come in order of their size; of each first the models of least and of most compute (of unknown compute: the
    first and the last released), then those with most scores. Benchmarks that few of the chosen have a score on add
    models that have one. Nothing is drawn: the same table gives the same choice.

    Parameters
    ----------
    table : ScoreTable
        All models.
    count : int
        Number of models, about: benchmarks may add some.

    Raises
    ------
    InputError
        For a count below 20.
    """
    if count < _FEWEST:
        raise InputError(f"Calibrating on {count} models would learn little", f"take {_FEWEST} or more")
    models = table.models
    seen = table.matrix(table.benchmark_names).notna()
    scores = seen.sum(axis=1)
    able = models[scores > 0]
    if len(able) <= count:
        return list(models.index) if len(models) <= count else list(able.index)
    order = pd.DataFrame(
        {
            "family": able["family"],
            "scores": scores[able.index],
            "place": able["flops"].fillna(0.0) if able["flops"].notna().any() else pd.to_datetime(able["date"]).rank(),
        }
    )
    turns: list[pd.Series] = []
    for _, family in order.groupby("family", sort=False):
        ends = [family["place"].idxmax(), family["place"].idxmin()]
        rest = family.drop(index=ends).sort_values("scores", ascending=False, kind="stable").index
        ranked = list(dict.fromkeys([*ends, *rest]))
        turns.append(pd.Series(np.arange(len(ranked)), index=ranked))
    turn = pd.concat(turns)
    size = order["family"].map(order["family"].value_counts())
    ranked = sorted(turn.index, key=lambda name: (turn[name], -size[name], -order["scores"][name]))
    chosen = dict.fromkeys(ranked[:count])
    for benchmark in seen.columns:
        have = [name for name in ranked if seen.at[name, benchmark]]
        missing = _PER_BENCHMARK - sum(name in chosen for name in have)
        chosen |= dict.fromkeys([name for name in have if name not in chosen][: max(missing, 0)])
    return [name for name in models.index if name in chosen]
