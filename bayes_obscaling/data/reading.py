"""Read a user's scores, into a table of their own or into one that is there.

Two layouts are read, from a file of any kind (`bayes_obscaling.data.formats`) or a DataFrame:

- wide, as published: a column of models, optionally family, size, data, compute and date of release, then a column per
  benchmark or task, in the raw range of that benchmark (0..1; BLEU 0..100) or in percent;
- long: ``model``, ``benchmark``, ``score``, optionally ``stderr``, ``n_items``, ``chance``, ``setting`` (reasoning
  effort or thinking budget), ``reasoning``, ``evaluated`` (date of the run), and what a wide table has.

Headers of other tools are understood (`bayes_obscaling.data.headers`), columns that hold no score are left aside, and
the notes of the table say so. A model that the table knows needs nothing but its name, in any spelling; a new one
without a family becomes a family of its own. Unknown FLOPs are fine; they follow as 6 N D where size and data are
given. What the bundled tables say of a benchmark holds for its name, and so do the facts of common benchmarks
(``known_benchmarks.csv``); any other new column is a task of unknown chance (a fit infers it) without item count
unless a benchmarks table says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data.bundled import known_corrections
from bayes_obscaling.data.frames import KEY
from bayes_obscaling.data.names import close_names
from bayes_obscaling.data.parsing import Parsed, is_unknown, parse
from bayes_obscaling.data.scales import Duplicates
from bayes_obscaling.data.settings import joined
from bayes_obscaling.data.sheet import Source
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError

OVERRIDE_NOTED = 0.02  # a user's score that differs more from the one it replaces is worth a line
CONFLICT = 0.05  # relative difference at which two sizes of a model are not one that was rounded
_SAME = 0.01  # below which the difference is not worth a line
_MOST_LISTED = 20
_ROUNDING = 1e-9


def read_scores(
    source: Source,
    benchmarks: Source | None = None,
    *,
    tasks: Iterable[str] = (),
    into: ScoreTable | None = None,
    sheet: str | None = None,
    duplicates: Duplicates = "refuse",
) -> ScoreTable:
    """Return a table of a user's scores, alone or merged into another table, which stays as it is.

    Parameters
    ----------
    source : DataFrame or path
        Scores in the wide or the long layout, see `bayes_obscaling.data.reading`; or a folder of results.
    benchmarks : DataFrame or path, optional
        What is known about the benchmarks and tasks of ``source``: columns as in the ``benchmarks`` of `ScoreTable`.
    tasks : iterable of str
        Columns of ``source`` to forecast. A new column that is neither known nor described is a task as well, unless
        no other column measures capability.
    into : ScoreTable, optional
        The table to merge the scores into, such as `load_base_llms()`. A score for a cell that it already has replaces
        that one. Default: none.
    sheet : str, optional
        Sheet of a workbook; default the first.
    duplicates : {"refuse", "mean", "first"}
        What is done with several scores of one model on one benchmark. "mean": reruns are averaged, and their spread
        sets the noise of the mean.

    Raises
    ------
    InputError
        If a file cannot be used: one sentence with file, row, column and remedy.
    """
    table = ScoreTable.empty() if into is None else into
    return merge(table, parse(table, source, benchmarks, tasks=tasks, sheet=sheet, duplicates=duplicates))


def merge(table: ScoreTable, parsed: Parsed, *, strict: bool = True) -> ScoreTable:
    """Return a table with what a file says; where they differ about a model, the file is refused if `strict`."""
    notes = [f"{parsed.sheet.name}: {text}" for text in parsed.notes]
    models = _merged_models(table, parsed, notes, strict=strict)
    benchmark_rows = pd.concat([table.benchmarks, parsed.benchmarks]) if len(parsed.benchmarks) else table.benchmarks
    notes += [f"{parsed.sheet.name}: {text}" for text in parsed.assumed.values()]
    changed = overrides(table, parsed)
    if len(changed):
        first = changed.iloc[0]
        what = counted(len(changed), "score differs from the one it replaces", "scores differ from those they replace")
        notes.append(
            f"{parsed.sheet.name}: {what} by more than {OVERRIDE_NOTED}, first "
            f"{first['model']} on {first['benchmark']}: {first['score']:.3f} for {first['score_table']:.3f}"
        )
    scores, others = _merged_scores(table, parsed)
    return ScoreTable(models, benchmark_rows, scores, [*table.notes, *notes], other_settings=others)


def new_scores(before: ScoreTable, after: ScoreTable) -> pd.DataFrame:
    """Return the scores of a table that another does not have, or has otherwise."""
    scores = after.scores
    now = scores.set_index(KEY)["score"]
    known = before.scores.set_index(KEY)["score"].reindex(now.index)
    return scores[(known != now).to_numpy()]


def overrides(table: ScoreTable, parsed: Parsed) -> pd.DataFrame:
    """Return the scores of ``parsed`` that differ visibly from the ``score_table`` they replace."""
    both = parsed.scores.merge(table.scores, on=["model", "benchmark"], suffixes=("", "_table"))
    known = (both["setting"] != "") & (both["setting_table"] != "")
    is_same = ~known | (both["setting"] == both["setting_table"])  # another setting is another score
    return both[is_same & ((both["score"] - both["score_table"]).abs() > OVERRIDE_NOTED)]


def _merged_models(table: ScoreTable, parsed: Parsed, notes: list[str], *, strict: bool) -> pd.DataFrame:
    """Return the models of the table and the file together; what both know must agree."""
    sheet, before = parsed.sheet, table.models
    models: dict[str, dict[str, Any]] = {str(name): fields for name, fields in before.to_dict("index").items()}
    conflicts: list[tuple[int, str, str]] = []
    alone, rounded, respelled = [], [], []
    for name, fields in parsed.models.to_dict("index").items():
        row, provider = int(fields.pop("row")), fields["provider"]
        if name not in models:
            if fields["family"] == "":
                fields["family"] = provider or str(name).rpartition("/")[2]
                alone += [] if provider else [str(name)]
            models[str(name)] = fields | {"cohort": "user"}
        known = models[str(name)]
        if not is_unknown(known["flops"]) and str(name) in before.index:
            fields["flops_sd"] = np.nan  # it is of compute that is not used
        for field, value in fields.items():
            if is_unknown(value) or value == known[field]:
                continue
            if is_unknown(known[field]):
                known[str(field)] = value
            elif field in ("provider", "open_weights"):
                continue  # the table's, which a spelling does not change
            elif field == "family":
                respelled.append(f"{name} is in {known[field]}, not {value}")
            elif field == "date":
                conflicts.append(
                    (row, str(field), f"model {name!r} has date {value!r}, but {known[field]!r} in the table")
                )
            elif _is_known_error(str(name), str(field), value):
                notes.append(f"{sheet.name}: {field} {value:g} of {name} is a known error; {known[field]:g} is used")
            elif not np.isclose(value, known[field], rtol=CONFLICT):
                text = f"model {name!r} has {field} {value:g}, but {known[field]:g} in the table"
                conflicts.append((row, str(field), text))
            elif not np.isclose(value, known[field], rtol=_SAME):
                rounded.append(f"{field} of {name}: {known[field]:g} for {value:g}")
        params, tokens = known["params"], known["tokens"]
        if np.isnan(known["flops"]) and not np.isnan(params * tokens):
            known["flops"] = float(f"{6 * params * tokens:.12g}")
    if conflicts and strict:
        raise _conflict(parsed, conflicts)
    notes += _said(sheet.name, "the table's sizes are used where yours are rounded", rounded)
    notes += _said(sheet.name, "the table's family is used", respelled)
    notes += _said(sheet.name, "models without a family are one of their own", [_hint(table, name) for name in alone])
    used = parsed.columns.get("provider")
    if used and "family" not in parsed.columns and any(name not in before.index for name in parsed.models.index):
        notes.append(f"{sheet.name}: there is no column of families: {used} is taken for the family of new models")
    merged = pd.DataFrame.from_dict(models, orient="index", columns=list(before.columns))
    return merged.astype(before.dtypes.to_dict()).rename_axis(before.index.name)


def _is_known_error(name: str, field: str, value: float) -> bool:
    corrections = known_corrections().set_index(["model", "column"])["source_value"].to_dict()
    return bool(np.isclose(value, corrections.get((name, field), np.nan), rtol=1e-6))


def _said(file: str, what: str, cases: list[str]) -> list[str]:
    """Return one sentence about several cases, none for none."""
    more = f" and {len(cases) - _MOST_LISTED} more" if len(cases) > _MOST_LISTED else ""
    return [f"{file}: {what} ({'; '.join(cases[:_MOST_LISTED])}{more})"] if cases else []


def _hint(table: ScoreTable, name: str) -> str:
    """Return the name of a model that is new, with a near one that may be meant."""
    near = close_names(name, list(table.models.index), cutoff=0.9)
    return f"{name}: did you mean {near[0]}?" if near else name


def _conflict(parsed: Parsed, conflicts: list[tuple[int, str, str]]) -> InputError:
    """Return the error about all fields in which file and table differ, at the place of the first."""
    (row, field, problem), *others = conflicts
    if others:
        listed = "; ".join(f"row {row}: {text}" for row, _, text in others[: _MOST_LISTED - 1])
        problem += f" (and {len(others)} more: {listed}{'; ...' if len(others) >= _MOST_LISTED else ''})"
    remedy = "correct it, leave the cell empty, or give the model another name"
    return parsed.sheet.error(problem, remedy, row, parsed.columns[field])


def _merged_scores(table: ScoreTable, parsed: Parsed) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of the table and the file together, and those in other settings."""
    old = table.scores
    new = parsed.scores[list(old.columns)]
    both = old.merge(new, on=KEY, suffixes=("", "_new"))
    # the same score again says nothing new, and must not lose its own item count
    is_bare = both["n_items_new"].isna() & (both["setting_new"] == "") & (both["evaluated_new"] == "")
    is_same = np.isclose(both["score"], both["score_new"], rtol=0, atol=_ROUNDING) & is_bare
    new = new[~_keys(new).isin(_keys(both[is_same]))]
    return joined(old, table.other_settings, new, parsed.others)


def _keys(scores: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(scores[KEY])
