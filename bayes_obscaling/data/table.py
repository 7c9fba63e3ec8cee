"""ScoreTable: which model scored what on which benchmark or task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data.frames import (
    KEY,
    OPTIONAL,
    clean_benchmarks,
    clean_models,
    clean_others,
    clean_scores,
    says_something,
)
from bayes_obscaling.data.names import normal_form, unknown
from bayes_obscaling.data.rules import shared_name
from bayes_obscaling.errors import InputError

# Since pandas 3 a frame that shares its data with another copies them before it changes; before, only a copy is safe.
_DEEP = int(pd.__version__.partition(".")[0]) < 3


class ScoreTable:
    """An immutable, validated table of scores.

    Parameters
    ----------
    models : DataFrame
        One row per model, named by the index or a column ``model``: ``family``, ``params``, ``tokens`` and ``flops``
        in absolute units (NaN = unknown), ``date`` of release (as of `iso_date`, "" = unknown), ``cohort``,
        ``provider`` (the lab, "" = unknown), ``flops_sd`` (standard deviation of log10 FLOPs in decades, NaN = exact as
        stated), ``open_weights`` ("yes", "no", "" = unknown).
    benchmarks : DataFrame
        One row per benchmark or task, named by the index or a column ``benchmark``. ``role`` is ``benchmark`` (it
        measures capability) or ``task`` (it is to be forecast); ``chance`` the score of a guesser (NaN = unknown: a fit
        infers it); ``n_items`` the number of test items (NaN = none); ``signed`` whether the score may fall with
        capability; ``has_ceiling`` whether it ends at 1; ``lower`` and ``upper`` the raw range that maps to 0..1;
        ``excludes`` the benchmarks that do not predict this task; ``cutoff_flops`` the cutoff used in the literature;
        ``aliases`` other names; ``description``; ``category`` of skill ("" = none).
    scores : DataFrame
        One row per model and benchmark, in the model's best setting: ``model``, ``benchmark``, ``score`` (0..1, chance
        included), ``n_items`` (NaN = the benchmark's), ``setting`` (effort or thinking budget, as of
        `bayes_obscaling.data.efforts.setting_of`, "" = unknown), ``reasoning`` (1 with, 0 without, NaN = unknown),
        ``evaluated`` (date of the run, "" = unknown).
    notes : sequence of str
        What the reader of a forecast should know about how this table came about.
    other_settings : DataFrame, optional
        The same models on the same benchmarks in other settings: ``model``, ``benchmark``, ``setting``, ``reasoning``,
        ``score``, ``n_items``; default none.

    Raises
    ------
    InputError
        If the parts contradict each other or hold impossible values.

    Notes
    -----
    Nothing changes a table that a fit has seen: the frames that it gives out can be changed, the table stays. Columns
    that are missing hold the defaults of `bayes_obscaling.data.frames`.
    """

    def __init__(
        self,
        models: pd.DataFrame,
        benchmarks: pd.DataFrame,
        scores: pd.DataFrame,
        notes: Sequence[str] = (),
        *,
        other_settings: pd.DataFrame | None = None,
    ) -> None:
        self._models = clean_models(models)
        self._benchmarks = clean_benchmarks(benchmarks)
        names = self._models.index, self._benchmarks.index
        self._scores = clean_scores(scores, *names)
        self._others = clean_others(other_settings, self._scores, *names)
        self.notes = tuple(notes)
        self._names = _lookup(self._benchmarks)

    @classmethod
    def empty(cls) -> ScoreTable:
        """Return a table without models, benchmarks and scores."""
        frame = pd.DataFrame({"model": [], "benchmark": [], "score": []})
        return cls(frame[["model"]], frame[["benchmark"]], frame)

    @classmethod
    def _trusted(
        cls,
        models: pd.DataFrame,
        benchmarks: pd.DataFrame,
        scores: pd.DataFrame,
        others: pd.DataFrame,
        notes: Sequence[str] = (),
    ) -> ScoreTable:
        """Return the table of frames in the form that a table gives out; nothing is checked or filled in."""
        table = cls.__new__(cls)
        table._models, table._benchmarks, table._scores, table._others = (
            frame.copy(deep=_DEEP) for frame in (models, benchmarks, scores, others)
        )
        table.notes = tuple(notes)
        table._names = _lookup(table._benchmarks)
        return table

    @property
    def models(self) -> pd.DataFrame:
        """Models by name: family, params, tokens, flops, date, cohort, provider, flops_sd, open_weights."""
        return self._models.copy(deep=_DEEP)

    @property
    def benchmarks(self) -> pd.DataFrame:
        """Benchmarks and tasks by name, with all that is known of them."""
        return self._benchmarks.copy(deep=_DEEP)

    @property
    def scores(self) -> pd.DataFrame:
        """The scores: model, benchmark, score, n_items, setting, reasoning, evaluated."""
        return self._scores.copy(deep=_DEEP)

    @property
    def other_settings(self) -> pd.DataFrame:
        """Scores in other settings than those of `scores`: model, benchmark, setting, reasoning, score, n_items."""
        return self._others.copy(deep=_DEEP)

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
        """Score of a guesser on a benchmark or task, NaN where nobody said it."""
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
            self._others[self._others["model"].isin(keep)].reset_index(drop=True),
            self.notes,
        )

    def noting(self, notes: Iterable[str]) -> ScoreTable:
        """Return this table with more notes."""
        return ScoreTable._trusted(self._models, self._benchmarks, self._scores, self._others, [*self.notes, *notes])

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the contents, whatever the order of the rows."""
        digest = hashlib.sha256()
        frames = [self._models, self._benchmarks, self._scores.set_index(KEY)]
        if len(self._others):
            frames.append(self._others.set_index([*KEY, "setting"]))
        for frame in frames:
            # optional columns that say nothing leave the hash as it was before there were any
            optional = [column for column in frame if column in OPTIONAL]
            used = [column for column in optional if says_something(frame[column])]
            frame = frame.drop(columns=set(optional) - set(used)).sort_index().reset_index()
            digest.update(repr(frame.to_numpy(dtype=object).tolist()).encode() + ",".join(used).encode())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScoreTable) and self.data_hash == other.data_hash

    def __hash__(self) -> int:
        return hash(self.data_hash)

    @property
    def extent(self) -> str:
        """How many models and families there are, in words."""
        return f"{counted(len(self._models), 'model')}, {counted(len(self.families), 'family', 'families')}"

    def __repr__(self) -> str:
        return (
            f"ScoreTable({self.extent}, "
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
