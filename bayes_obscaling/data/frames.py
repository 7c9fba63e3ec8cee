"""The frames of a table of scores: their columns, what these hold when nobody says, and what they may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import iso_date, run_date
from bayes_obscaling.data.efforts import setting_of
from bayes_obscaling.data.rules import check_number, check_open, check_range, check_role, out_of_range, two_scores
from bayes_obscaling.errors import InputError

# What a column holds when nobody says otherwise. A benchmark needs nothing but a name.
MODEL_DEFAULTS: dict[str, object] = {
    "family": "",
    "params": np.nan,
    "tokens": np.nan,
    "flops": np.nan,
    "date": "",
    "cohort": "user",
    "provider": "",
    "flops_sd": np.nan,
    "open_weights": "",
}
BENCHMARK_DEFAULTS: dict[str, object] = {
    "role": "benchmark",
    "chance": np.nan,
    "n_items": np.nan,
    "signed": False,
    "has_ceiling": True,
    "lower": 0.0,
    "upper": 1.0,
    "excludes": (),
    "cutoff_flops": np.nan,
    "aliases": (),
    "description": "",
    "category": "",
}
SCORE_DEFAULTS: dict[str, object] = {"n_items": np.nan, "setting": "", "reasoning": np.nan, "evaluated": ""}
"""What is known of a score besides model, benchmark and score."""
OPTIONAL = ("provider", "flops_sd", "open_weights", "category", "setting", "reasoning", "evaluated")
"""Columns that came later: where they say nothing, a table is what it was without them."""
KEY = ["model", "benchmark"]
OTHER_COLUMNS = [*KEY, "setting", "reasoning", "score", "n_items"]
"""Columns of the scores in other settings."""


def says_something(column: pd.Series) -> bool:
    """Whether a column holds anything that is known."""
    return bool((column.notna() & (column != "")).any())


def _indexed(frame: pd.DataFrame, key: str, defaults: dict[str, object]) -> pd.DataFrame:
    """Index the frame by its unique, nonempty names and fill in the columns that it lacks."""
    frame = frame.copy() if frame.index.name == key else frame.set_index(key)
    frame.index = pd.Index([str(name).strip() for name in frame.index], name=key, dtype=object)
    folded = frame.index.str.casefold() if len(frame) else frame.index
    if folded.has_duplicates:
        twice = frame.index[folded.duplicated(keep=False)].tolist()
        raise InputError(f"{key} {twice[0]!r} is listed twice (as {', '.join(twice[:2])})", "keep one row of it")
    if "" in frame.index:
        raise InputError(f"row {frame.index.get_loc('') + 1} of the {key}s has no name", "name it or remove it")
    for column, default in defaults.items():
        if column not in frame:
            frame[column] = [default] * len(frame)
    return frame[[*defaults]]


def _texts(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Make the columns stripped str in place, "" where there is nothing."""
    for column in columns:
        texts = ["" if pd.isna(value) else str(value).strip() for value in frame[column]]
        frame[column] = pd.Series(texts, index=frame.index, dtype=object)


def _numbers(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Make the columns float in place, and see that they hold what is possible."""
    for column in columns:
        try:
            frame[column] = frame[column].astype(float)
        except (TypeError, ValueError):
            raise InputError(f"the {column} of the {frame.index.name}s must be numbers") from None
        for name, value in frame[column].items():
            check_number(column, value, f"{frame.index.name} {name!r}")


def clean_models(models: pd.DataFrame) -> pd.DataFrame:
    """Return the models of a table by name, with all columns, or refuse what they hold."""
    models = _indexed(models, "model", MODEL_DEFAULTS)
    _texts(models, ("family", "cohort", "date", "provider", "open_weights"))
    dates = [iso_date(text, f"model {name!r}") for name, text in models["date"].items()]
    models["date"] = pd.Series(dates, index=models.index, dtype=object)
    _numbers(models, ("params", "tokens", "flops", "flops_sd"))
    for name, text in models["open_weights"].items():
        check_open(text, f"model {name!r}")
    nameless = models.index[models["family"] == ""]
    if len(nameless):
        raise InputError(f"model {nameless[0]!r} has no family", "name one (its own name will do)")
    return models


def clean_benchmarks(benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Return the benchmarks and tasks of a table by name, with all columns, or refuse what they hold."""
    benchmarks = _indexed(benchmarks, "benchmark", BENCHMARK_DEFAULTS)
    _texts(benchmarks, ("role", "description", "category"))
    _numbers(benchmarks, ("chance", "n_items", "lower", "upper", "cutoff_flops"))
    for column in ("signed", "has_ceiling"):
        benchmarks[column] = benchmarks[column].astype(bool)
    for column in ("excludes", "aliases"):
        benchmarks[column] = pd.Series([tuple(x) for x in benchmarks[column]], index=benchmarks.index, dtype=object)
    for name, row in benchmarks.iterrows():
        where = f"benchmark {name!r}"
        check_role(row["role"], where)
        check_range(row["lower"], row["upper"], where)
        for other in row["excludes"]:
            if other not in benchmarks.index:
                problem = f"it excludes {other!r}, which is not in the table"
                raise InputError(problem, "correct or remove that name", where)
    return benchmarks


def clean_scores(scores: pd.DataFrame, models: pd.Index, benchmarks: pd.Index) -> pd.DataFrame:
    """Return the scores of a table, one a model and benchmark, with all columns, or refuse what they hold."""
    scores = _typed_scores(scores, [*KEY, "score", *SCORE_DEFAULTS], models, benchmarks)
    twice = scores[scores.duplicated(KEY)]
    if len(twice):
        raise two_scores(*twice.iloc[0][KEY])
    return scores


def clean_others(
    others: pd.DataFrame | None, scores: pd.DataFrame, models: pd.Index, benchmarks: pd.Index
) -> pd.DataFrame:
    """Return the scores in other settings, one a model, benchmark and setting that the scores lack, or refuse them."""
    if others is None:
        others = pd.DataFrame(columns=OTHER_COLUMNS)
    others = _typed_scores(others, OTHER_COLUMNS, models, benchmarks)
    keys = [*KEY, "setting"]
    nowhere = others[others["setting"] == ""]
    if len(nowhere):
        model, benchmark = nowhere.iloc[0][KEY]
        raise InputError("a score in another setting has no setting", "name it", f"{model} on {benchmark}")
    taken = pd.MultiIndex.from_frame(others[keys]).isin(pd.MultiIndex.from_frame(scores[keys]))
    twice = others[taken | others.duplicated(keys)]
    if len(twice):
        model, benchmark, setting = twice.iloc[0][keys]
        raise two_scores(model, benchmark, first=f" in the setting {setting}")
    return others


def _typed_scores(scores: pd.DataFrame, columns: list[str], models: pd.Index, benchmarks: pd.Index) -> pd.DataFrame:
    """Return these columns of scores, whose values are of one type and possible."""
    scores = scores.reset_index(drop=True)
    for column in columns:
        if column not in scores and column in SCORE_DEFAULTS:
            scores[column] = [SCORE_DEFAULTS[column]] * len(scores)
    scores = scores[columns].astype({"model": object, "benchmark": object, "score": float, "n_items": float})
    for column, known in (("model", models), ("benchmark", benchmarks)):
        strange = scores.loc[~scores[column].isin(known), column]
        if len(strange):
            raise InputError(f"there is a score of {column} {strange.iloc[0]!r}, which is not among the {column}s")
    outside = scores[~scores["score"].between(0, 1)]
    if len(outside):
        model, benchmark, score = outside.iloc[0][["model", "benchmark", "score"]]
        raise InputError(out_of_range(score), "a score is a fraction", f"{model} on {benchmark}")
    counts = scores["n_items"]
    _each(scores, counts, counts.notna(), lambda count, where: check_number("n_items", count, where))
    scores["reasoning"] = _reasoning(scores)
    for column, read in (("setting", setting_of), ("evaluated", run_date)):
        if column in columns:
            _texts(scores, [column])
            read_values = _each(scores, scores[column], scores[column] != "", read)
            scores[column] = pd.Series(read_values, index=scores.index, dtype=object)
    return scores


def _each(scores: pd.DataFrame, values: pd.Series, given: pd.Series, read: Callable[[Any, str], Any]) -> list[Any]:
    """Return what `read` makes of every value that is given, told the place of the first alike; the others stay."""
    first = values[given].drop_duplicates()
    places = [f"{model} on {benchmark}" for model, benchmark in scores.loc[first.index, KEY].itertuples(index=False)]
    found = {value: read(value, where) for value, where in zip(first, places, strict=True)}
    return [found.get(value, value) for value in values]


def _reasoning(scores: pd.DataFrame) -> pd.Series:
    """Whether scores were made with reasoning: 1, 0, or NaN where nobody knows."""
    try:
        reasoning = scores["reasoning"].astype(float)
    except (TypeError, ValueError):
        reasoning = pd.Series(np.inf, index=scores.index)
    strange = scores[~(reasoning.isna() | reasoning.isin([0, 1]))]
    if len(strange):
        model, benchmark, value = strange.iloc[0][[*KEY, "reasoning"]]
        raise InputError(f"reasoning {value} cannot be", "write 1, 0 or nothing", f"{model} on {benchmark}")
    return reasoning
