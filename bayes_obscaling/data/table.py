"""ScoreTable: which model scored what on which benchmark or task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import iso_date
from bayes_obscaling.data.names import normal_form, unknown
from bayes_obscaling.data.rules import check_number, check_range, check_role, out_of_range, shared_name, two_scores
from bayes_obscaling.errors import InputError

# What a column holds when nobody says otherwise. A benchmark needs nothing but a name.
MODEL_DEFAULTS: dict[str, object] = {
    "family": "",
    "params": np.nan,
    "tokens": np.nan,
    "flops": np.nan,
    "date": "",
    "cohort": "user",
}
BENCHMARK_DEFAULTS: dict[str, object] = {
    "role": "benchmark",
    "chance": 0.0,
    "n_items": np.nan,
    "signed": False,
    "has_ceiling": True,
    "lower": 0.0,
    "upper": 1.0,
    "excludes": (),
    "cutoff_flops": np.nan,
    "aliases": (),
    "description": "",
}
# Since pandas 3 a frame that shares its data with another copies them before it changes; before, only a copy is safe.
_DEEP = int(pd.__version__.partition(".")[0]) < 3


class ScoreTable:
    """An immutable, validated table of scores.

    Parameters
    ----------
    models : DataFrame
        One row per model, named by the index or a column ``model``: ``family``, ``params``, ``tokens`` and ``flops``
        in absolute units (NaN = unknown), ``date`` of release (as of `iso_date`, "" = unknown), ``cohort``.
    benchmarks : DataFrame
        One row per benchmark or task, named by the index or a column ``benchmark``. ``role`` is ``benchmark`` (it
        measures capability) or ``task`` (it is to be forecast); ``chance`` the score of a guesser; ``n_items`` the
        number of test items (NaN = none); ``signed`` whether the score may fall with capability; ``has_ceiling``
        whether it ends at 1; ``lower`` and ``upper`` the raw range that maps to 0..1; ``excludes`` the benchmarks
        that do not predict this task; ``cutoff_flops`` the cutoff used in the literature; ``aliases`` other names;
        ``description``. Missing columns hold the defaults in ``BENCHMARK_DEFAULTS``.
    scores : DataFrame
        One row per score: ``model``, ``benchmark``, ``score`` (0..1, chance included), ``n_items`` (NaN = the
        benchmark's).
    notes : sequence of str
        What the reader of a forecast should know about how this table came about.

    Raises
    ------
    InputError
        If the parts contradict each other or hold impossible values.

    Notes
    -----
    Nothing changes a table that a fit has seen: the frames that it gives out can be changed, the table stays.
    """

    def __init__(
        self, models: pd.DataFrame, benchmarks: pd.DataFrame, scores: pd.DataFrame, notes: Sequence[str] = ()
    ) -> None:
        self._models = _clean_models(models)
        self._benchmarks = _clean_benchmarks(benchmarks)
        self._scores = _clean_scores(scores, self._models.index, self._benchmarks.index)
        self.notes = tuple(notes)
        self._names = _lookup(self._benchmarks)

    @classmethod
    def empty(cls) -> ScoreTable:
        """Return a table without models, benchmarks and scores."""
        frame = pd.DataFrame({"model": [], "benchmark": [], "score": []})
        return cls(frame[["model"]], frame[["benchmark"]], frame)

    @classmethod
    def _trusted(
        cls, models: pd.DataFrame, benchmarks: pd.DataFrame, scores: pd.DataFrame, notes: Sequence[str] = ()
    ) -> ScoreTable:
        """Return the table of frames in the form that a table gives out; nothing is checked or filled in."""
        table = cls.__new__(cls)
        table._models, table._benchmarks, table._scores = (
            frame.copy(deep=_DEEP) for frame in (models, benchmarks, scores)
        )
        table.notes = tuple(notes)
        table._names = _lookup(table._benchmarks)
        return table

    @property
    def models(self) -> pd.DataFrame:
        """Models by name: family, params, tokens, flops, date, cohort."""
        return self._models.copy(deep=_DEEP)

    @property
    def benchmarks(self) -> pd.DataFrame:
        """Benchmarks and tasks by name, with all that is known of them."""
        return self._benchmarks.copy(deep=_DEEP)

    @property
    def scores(self) -> pd.DataFrame:
        """The scores: model, benchmark, score, n_items."""
        return self._scores.copy(deep=_DEEP)

    @property
    def benchmark_names(self) -> list[str]:
        """Names of the benchmarks that measure capability, in table order."""
        return self._benchmarks.index[self._benchmarks["role"] == "benchmark"].tolist()

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks to forecast, in table order."""
        return self._benchmarks.index[self._benchmarks["role"] == "task"].tolist()

    @property
    def families(self) -> list[str]:
        """Names of the families, in table order."""
        return list(dict.fromkeys(self._models["family"]))

    def chance(self, name: str) -> float:
        """Score of a guesser on a benchmark or task."""
        return float(self._benchmarks.at[self.resolve(name), "chance"])

    def n_items(self, name: str) -> float:
        """Number of test items of a benchmark or task, NaN where none are counted."""
        return float(self._benchmarks.at[self.resolve(name), "n_items"])

    def excludes(self, name: str) -> tuple[str, ...]:
        """Benchmarks that do not predict this task."""
        return self._benchmarks.at[self.resolve(name), "excludes"]

    def matrix(self, names: Iterable[str]) -> pd.DataFrame:
        """Scores as a frame of all models by ``names``, NaN where a model has no score."""
        return self._pivot("score", [self.resolve(name) for name in names])

    def item_counts(self, names: Iterable[str]) -> pd.DataFrame:
        """Item counts in the shape of `matrix`: a score's own count, else the benchmark's, NaN where there is none."""
        resolved = [self.resolve(name) for name in names]
        return self._pivot("n_items", resolved).fillna(self._benchmarks.loc[resolved, "n_items"])

    def _pivot(self, values: str, names: list[str]) -> pd.DataFrame:
        return self._wide[values].reindex(columns=pd.Index(names, name="benchmark")).astype(float)

    @cached_property
    def _wide(self) -> dict[str, pd.DataFrame]:
        """Scores and item counts as frames of all models by all benchmarks that have a score."""
        index, columns = self._models.index, {"index": "model", "columns": "benchmark"}
        return {name: self._scores.pivot(**columns, values=name).reindex(index=index) for name in ("score", "n_items")}

    def resolve_all(self, names: str | Iterable[str]) -> list[str]:
        """Canonical names of one or several benchmarks or tasks, each once; errors as in `resolve`."""
        if not isinstance(names, Iterable):
            raise InputError(f"{names!r} is no name of a benchmark or task", "give a name, or several")
        return list(dict.fromkeys(self.resolve(name) for name in ([names] if isinstance(names, str) else names)))

    def resolve(self, name: str) -> str:
        """Canonical name of a benchmark or task, from that name or an alias, in upper or lower case.

        Raises
        ------
        InputError
            If there is no such benchmark or task; the sentence holds the nearest names.
        """
        canonical = self.find(name)
        if canonical is None:
            raise unknown("benchmark or task", name, self._benchmarks.index)
        return canonical

    def find(self, name: str) -> str | None:
        """Like `resolve`, but None for an unknown name."""
        return self._names.get(str(name).strip().casefold())

    def resolve_model(self, name: str) -> str:
        """Full name of a model, from that name or the part after the ``/``, in upper or lower case.

        Raises
        ------
        InputError
            If no model or several have that name; the sentence holds the nearest names.
        """
        models = self.find_model(name)
        if len(models) == 1:
            return models[0]
        if models:
            raise InputError(f"model {name!r} is ambiguous", f"use one of the full names {', '.join(models)}")
        raise unknown("model", name, self._models.index)

    def find_model(self, name: str) -> list[str]:
        """Full names of all models that ``name`` may mean: exact before full before short name before another spelling.

        Another spelling, such as ``Llama 2 70B``, counts only where one model alone may be meant.
        """
        name = str(name).strip()
        if name in self._models.index:
            return [name]
        alike = self._model_forms.get(normal_form(name), [])
        return self._model_names.get(name.casefold()) or (alike if len(alike) == 1 else [])

    @cached_property
    def _model_names(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for model in self._models.index:
            names.setdefault(model.casefold().rpartition("/")[2], []).append(model)
        for model in self._models.index:  # a full name outranks a short one
            names[model.casefold()] = [model]
        return names

    @cached_property
    def _model_forms(self) -> dict[str, list[str]]:
        """Models by the normal form of their names, with and without the organisation."""
        forms: dict[str, list[str]] = {}
        for model in self._models.index:
            form = normal_form(model)
            for one in {form, form.rpartition("/")[2]}:
                forms.setdefault(one, []).append(model)
        return forms

    def select(self, models: Iterable[str]) -> ScoreTable:
        """Return the table of these models only, in this table's order."""
        keep = {self.resolve_model(name) for name in models}
        return ScoreTable._trusted(
            self._models[self._models.index.isin(keep)],
            self._benchmarks,
            self._scores[self._scores["model"].isin(keep)].reset_index(drop=True),
            self.notes,
        )

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the contents, whatever the order of the rows."""
        digest = hashlib.sha256()
        for frame in (self._models, self._benchmarks, self._scores.set_index(["model", "benchmark"])):
            digest.update(repr(frame.sort_index().reset_index().to_numpy(dtype=object).tolist()).encode())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScoreTable) and self.data_hash == other.data_hash

    def __hash__(self) -> int:
        return hash(self.data_hash)

    def __repr__(self) -> str:
        return (
            f"ScoreTable({len(self._models)} models, {self._models['family'].nunique()} families, "
            f"{len(self.benchmark_names)} benchmarks, {len(self.task_names)} tasks, {len(self._scores)} scores)"
        )


def _lookup(benchmarks: pd.DataFrame) -> dict[str, str]:
    """Return the canonical name of every name and alias in lower case."""
    names = {name.casefold(): name for name in benchmarks.index}
    for name, aliases in benchmarks["aliases"].items():
        for alias in aliases:
            if names.setdefault(alias.casefold(), str(name)) != name:
                raise shared_name(alias, names[alias.casefold()], f"benchmark {name!r}")
    return names


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


def _clean_models(models: pd.DataFrame) -> pd.DataFrame:
    models = _indexed(models, "model", MODEL_DEFAULTS)
    _texts(models, ("family", "cohort", "date"))
    dates = [iso_date(text, f"model {name!r}") for name, text in models["date"].items()]
    models["date"] = pd.Series(dates, index=models.index, dtype=object)
    _numbers(models, ("params", "tokens", "flops"))
    nameless = models.index[models["family"] == ""]
    if len(nameless):
        raise InputError(f"model {nameless[0]!r} has no family", "name one (its own name will do)")
    return models


def _clean_benchmarks(benchmarks: pd.DataFrame) -> pd.DataFrame:
    benchmarks = _indexed(benchmarks, "benchmark", BENCHMARK_DEFAULTS)
    _texts(benchmarks, ("role", "description"))
    if benchmarks["chance"].isna().any():
        raise InputError("a benchmark has no chance level", "give the score of a guesser, 0 where there is none")
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


def _clean_scores(scores: pd.DataFrame, models: pd.Index, benchmarks: pd.Index) -> pd.DataFrame:
    scores = scores.reset_index(drop=True)
    if "n_items" not in scores:
        scores["n_items"] = np.nan
    scores = scores[["model", "benchmark", "score", "n_items"]].astype(
        {"model": object, "benchmark": object, "score": float, "n_items": float}
    )
    for column, known in (("model", models), ("benchmark", benchmarks)):
        strange = scores.loc[~scores[column].isin(known), column]
        if len(strange):
            raise InputError(f"there is a score of {column} {strange.iloc[0]!r}, which is not among the {column}s")
    outside = scores[~scores["score"].between(0, 1)]
    if len(outside):
        model, benchmark, score = outside.iloc[0][["model", "benchmark", "score"]]
        raise InputError(out_of_range(score), "a score is a fraction", f"{model} on {benchmark}")
    counted = scores[scores["n_items"].notna()]
    for model, benchmark, count in counted[["model", "benchmark", "n_items"]].itertuples(index=False):
        check_number("n_items", count, f"{model} on {benchmark}")
    twice = scores[scores.duplicated(["model", "benchmark"])]
    if len(twice):
        raise two_scores(*twice.iloc[0][["model", "benchmark"]])
    return scores
