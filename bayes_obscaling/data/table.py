"""ScoreTable: which model scored what on which benchmark or task."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data.reading import Source

ROLES = ("benchmark", "task")

# What a column holds when nobody says otherwise. A benchmark needs nothing but a name.
MODEL_DEFAULTS: dict[str, object] = {
    "family": "", "params": np.nan, "tokens": np.nan, "flops": np.nan, "cohort": "user",
}  # fmt: skip
BENCHMARK_DEFAULTS: dict[str, object] = {
    "role": "benchmark", "chance": 0.0, "n_items": np.nan, "signed": False, "has_ceiling": True, "lower": 0.0,
    "upper": 1.0, "excludes": (), "cutoff_flops": np.nan, "aliases": (), "description": "",
}  # fmt: skip


class ScoreTable:
    """An immutable, validated table of scores.

    Parameters
    ----------
    models : DataFrame
        One row per model, named by the index or a column ``model``: ``family``, ``params``, ``tokens`` and ``flops``
        in absolute units (NaN = unknown), ``cohort``; a column ``date`` (of release) is kept where there is one.
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
    The frames are copied in and copied out, so that nothing changes a table that a fit has seen.
    """

    def __init__(
        self, models: pd.DataFrame, benchmarks: pd.DataFrame, scores: pd.DataFrame, notes: Sequence[str] = ()
    ) -> None:
        self._models = _clean_models(models)
        self._benchmarks = _clean_benchmarks(benchmarks)
        self._scores = _clean_scores(scores, self._models.index, self._benchmarks.index)
        self.notes = tuple(notes)
        self._names = _lookup(self._benchmarks)

    @property
    def models(self) -> pd.DataFrame:
        """Models by name: family, params, tokens, flops, cohort (a copy)."""
        return self._models.copy()

    @property
    def benchmarks(self) -> pd.DataFrame:
        """Benchmarks and tasks by name, with all that is known of them (a copy)."""
        return self._benchmarks.copy()

    @property
    def scores(self) -> pd.DataFrame:
        """The scores: model, benchmark, score, n_items (a copy)."""
        return self._scores.copy()

    @property
    def benchmark_names(self) -> list[str]:
        """Names of the benchmarks that measure capability, in table order."""
        return self._benchmarks.index[self._benchmarks["role"] == "benchmark"].tolist()

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks to forecast, in table order."""
        return self._benchmarks.index[self._benchmarks["role"] == "task"].tolist()

    def matrix(self, names: Iterable[str]) -> pd.DataFrame:
        """Scores as a frame of all models by ``names``, NaN where a model has no score."""
        return self._pivot("score", [self.resolve(name) for name in names])

    def item_counts(self, names: Iterable[str]) -> pd.DataFrame:
        """Item counts in the shape of `matrix`: a score's own count, else the benchmark's, NaN where there is none."""
        resolved = [self.resolve(name) for name in names]
        return self._pivot("n_items", resolved).fillna(self._benchmarks.loc[resolved, "n_items"])

    def _pivot(self, values: str, names: list[str]) -> pd.DataFrame:
        wide = self._scores.pivot(index="model", columns="benchmark", values=values)
        return wide.reindex(index=self._models.index, columns=pd.Index(names, name="benchmark")).astype(float)

    def resolve_all(self, names: str | Iterable[str]) -> list[str]:
        """Canonical names of one or several benchmarks or tasks, each once; errors as in `resolve`."""
        return list(dict.fromkeys(self.resolve(name) for name in ([names] if isinstance(names, str) else names)))

    def resolve(self, name: str) -> str:
        """Canonical name of a benchmark or task, from that name or an alias, in upper or lower case.

        Raises
        ------
        InputError
            If there is no such benchmark or task; the sentence holds the nearest names.
        """
        found = self.find(name)
        if found is None:
            raise InputError(f"there is no benchmark or task {name!r}; {_nearest(name, list(self._benchmarks.index))}")
        return found

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
        found = self.find_model(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"model {name!r} is ambiguous; use one of the full names {', '.join(found)}")
        raise InputError(f"there is no model {name!r}; {_nearest(name, list(self._models.index))}")

    def find_model(self, name: str) -> list[str]:
        """Full names of all models that ``name`` may mean: exact before full before short name."""
        name = str(name).strip()
        return [name] if name in self._models.index else self._model_names.get(name.casefold(), [])

    @cached_property
    def _model_names(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for model in self._models.index:
            names.setdefault(model.casefold().rpartition("/")[2], []).append(model)
        for model in self._models.index:  # a full name outranks a short one
            names[model.casefold()] = [model]
        return names

    def with_scores(self, source: Source, benchmarks: Source | None = None, *, tasks: Iterable[str] = ()) -> ScoreTable:
        """Merge a user's scores into a new table; this one stays as it is.

        Parameters
        ----------
        source : DataFrame or path
            Scores in the published wide or in the tidy long layout, see `bayes_obscaling.data.reading`. A score for a
            cell that this table already has replaces it.
        benchmarks : DataFrame or path, optional
            What is known about the benchmarks and tasks of ``source``: columns as in the ``benchmarks`` of this class.
            One that is not listed there and is new gets the defaults: chance 0, no item count, fractions 0..1.
        tasks : iterable of str
            New columns of ``source`` to forecast; other new columns are benchmarks.

        Returns
        -------
        ScoreTable

        Raises
        ------
        InputError
            If a file cannot be used: one sentence with file, row, column and remedy.
        """
        from bayes_obscaling.data.reading import merge

        return merge(self, source, benchmarks, tasks=tasks)

    def select(self, models: Iterable[str]) -> ScoreTable:
        """Return the table of these models only, in this table's order."""
        keep = {self.resolve_model(name) for name in models}
        return ScoreTable(
            self._models[self._models.index.isin(keep)],
            self._benchmarks,
            self._scores[self._scores["model"].isin(keep)],
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


def close_names(name: str, names: Sequence[str], cutoff: float = 0.5) -> list[str]:
    """Return up to three of ``names`` that look like ``name``, nearest first; the part after the ``/`` is enough."""
    keys = {short.casefold(): full for full in names for short in (full, full.rpartition("/")[2])}
    close = difflib.get_close_matches(name.casefold(), list(keys), n=3, cutoff=cutoff)
    return list(dict.fromkeys(keys[key] for key in close))


def _nearest(name: str, names: list[str]) -> str:
    """'did you mean ...' for an unknown name."""
    if close := close_names(str(name), names):
        return f"did you mean {', '.join(close)}?"
    listed = ", ".join(names[:15]) + (", ..." if len(names) > 15 else "")
    return f"choose one of {listed}" if names else "the table is empty"


def _lookup(benchmarks: pd.DataFrame) -> dict[str, str]:
    names = {name.casefold(): name for name in benchmarks.index}
    for name, aliases in benchmarks["aliases"].items():
        for alias in aliases:
            if names.setdefault(alias.casefold(), str(name)) != name:
                raise InputError(
                    f"{alias!r} names both {names[alias.casefold()]} and {name}; give each benchmark its own aliases"
                )
    return names


def _indexed(frame: pd.DataFrame, key: str, defaults: dict[str, object]) -> pd.DataFrame:
    """Index the frame by its unique, nonempty names and fill in the columns that it lacks."""
    frame = frame.copy() if frame.index.name == key else frame.set_index(key)
    frame.index = pd.Index([str(name).strip() for name in frame.index], name=key, dtype=object)
    folded = frame.index.str.casefold() if len(frame) else frame.index
    if folded.has_duplicates:
        twice = frame.index[folded.duplicated(keep=False)].tolist()
        raise InputError(f"{key} {twice[0]!r} is listed twice (as {', '.join(twice[:2])}); keep one row of it")
    if "" in frame.index:
        raise InputError(f"row {frame.index.get_loc('') + 1} of the {key}s has no name; name it or remove it")
    for column, default in defaults.items():
        if column not in frame:
            frame[column] = [default] * len(frame)
    optional = ["date"] if key == "model" and "date" in frame else []  # release dates, where somebody knows them
    return frame[[*defaults, *optional]]


def _texts(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Make the columns stripped str in place, "" where there is nothing."""
    for column in columns:
        texts = ["" if pd.isna(value) else str(value).strip() for value in frame[column]]
        frame[column] = pd.Series(texts, index=frame.index, dtype=object)


def _numbers(frame: pd.DataFrame, columns: Iterable[str], ok: str) -> None:
    """Make the columns float in place, and see that what is known is finite and positive (or at least 0)."""
    for column in columns:
        try:
            values = frame[column].astype(float)
        except (TypeError, ValueError):
            raise InputError(f"the {column} of the {frame.index.name}s must be numbers") from None
        wrong = values.notna() & ~(np.isfinite(values) & ((values > 0) if ok == "positive" else True))
        if wrong.any():
            name = frame.index[wrong][0]
            raise InputError(
                f"{frame.index.name} {name!r} has {column} {values[wrong].iloc[0]:g}; it must be a {ok} number, "
                f"or empty when it is not known"
            )
        frame[column] = values


def _clean_models(models: pd.DataFrame) -> pd.DataFrame:
    models = _indexed(models, "model", MODEL_DEFAULTS)
    _texts(models, [name for name in ("family", "cohort", "date") if name in models])
    _numbers(models, ("params", "tokens", "flops"), "positive")
    nameless = models.index[models["family"] == ""]
    if len(nameless):
        raise InputError(f"model {nameless[0]!r} has no family; name one (its own name will do)")
    return models


def _clean_benchmarks(benchmarks: pd.DataFrame) -> pd.DataFrame:
    benchmarks = _indexed(benchmarks, "benchmark", BENCHMARK_DEFAULTS)
    _texts(benchmarks, ("role", "description"))
    _numbers(benchmarks, ("chance", "lower", "upper"), "finite")
    _numbers(benchmarks, ("n_items", "cutoff_flops"), "positive")
    for column in ("signed", "has_ceiling"):
        benchmarks[column] = benchmarks[column].astype(bool)
    for column in ("excludes", "aliases"):
        benchmarks[column] = pd.Series([tuple(x) for x in benchmarks[column]], index=benchmarks.index, dtype=object)
    for name, row in benchmarks.iterrows():
        if row["role"] not in ROLES:
            raise InputError(f"{name} has the role {row['role']!r}; it must be benchmark or task")
        if not 0 <= row["chance"] < 1:
            raise InputError(f"{name} has chance {row['chance']:g}; it must be a fraction, at least 0 and below 1")
        if not row["lower"] < row["upper"]:
            raise InputError(f"{name} runs from {row['lower']:g} to {row['upper']:g}; lower must be below upper")
        unknown = [other for other in row["excludes"] if other not in benchmarks.index]
        if unknown:
            raise InputError(f"{name} excludes {unknown[0]!r}, which is not in the table; correct or remove that name")
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
    wrong = scores[~scores["score"].between(0, 1)]
    if len(wrong):
        model, benchmark, score = wrong.iloc[0][["model", "benchmark", "score"]]
        raise InputError(f"{model} has score {score:g} on {benchmark}; scores are fractions from 0 to 1")
    wrong = scores[scores["n_items"].notna() & ~(np.isfinite(scores["n_items"]) & (scores["n_items"] >= 1))]
    if len(wrong):
        model, benchmark, count = wrong.iloc[0][["model", "benchmark", "n_items"]]
        raise InputError(f"{model} has n_items {count:g} on {benchmark}; it must be at least 1, or empty")
    twice = scores[scores.duplicated(["model", "benchmark"])]
    if len(twice):
        model, benchmark = twice.iloc[0][["model", "benchmark"]]
        raise InputError(f"{model} has two scores on {benchmark}; keep one")
    return scores
