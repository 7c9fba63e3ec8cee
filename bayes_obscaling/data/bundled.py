"""The tables that ship with the package; their provenance is in ``data/README.md``."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import pandas as pd

from bayes_obscaling.data.table import ScoreTable


def tables_folder() -> Path:
    """Folder of the bundled tables: inside an installed package, else ``data/`` of the repository."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_tables"
    return installed if installed.is_dir() else package.parent / "data"


def load_base_llms(cohort: Literal["paper", "all"] = "all") -> ScoreTable:
    """Return the scores of base (pretrained) LLMs on 8 benchmarks and 13 tasks.

    Parameters
    ----------
    cohort : {"paper", "all"}
        The 77 models of the published study, or all 128.

    Returns
    -------
    ScoreTable
    """
    if cohort not in ("paper", "all"):
        raise ValueError(f"cohort is {cohort!r}; it must be 'paper' or 'all'")
    return _base_llms(cohort)


def load_instruct_llms() -> ScoreTable:
    """Return the scores of 27 instruction-tuned LLMs on 9 benchmarks and 2 agent tasks."""
    return _load("instruct_llms")


def bundled_hashes() -> dict[str, str]:
    """Content hashes of the two bundled tables of LLMs, by name."""
    return {"base_llms": load_base_llms().data_hash, "instruct_llms": load_instruct_llms().data_hash}


def changed_since(table: ScoreTable) -> tuple[str, ...]:
    """How today's bundled data differ from a table that was built on them.

    Parameters
    ----------
    table : ScoreTable
        A selection of models of a bundled table, perhaps merged with a user's scores.

    Returns
    -------
    tuple of str
        One phrase a kind of difference, about the models that both have; empty when there is none. A user's own score
        in place of a bundled one counts as a difference.
    """
    mine = table.models
    today = max((load_base_llms(), load_instruct_llms()), key=lambda other: other.models.index.isin(mine.index).sum())
    shared = today.models.index.intersection(mine.index)
    key, found = ["model", "benchmark"], []
    if not len(shared):
        return ()
    before, now = (frame[frame["model"].isin(shared)].set_index(key)["score"] for frame in (table.scores, today.scores))
    both = pd.concat({"then": before, "now": now}, axis=1)
    own = ~both.index.get_level_values("benchmark").isin(today.benchmarks.index)  # the user's own benchmarks
    changed = both[~own & (both["then"] != both["now"])]
    if len(changed):
        (model, benchmark), first = changed.index[0], changed.iloc[0]
        then, after = (f"{value:.4g}" if value == value else "none" for value in first[["then", "now"]])
        found.append(f"{len(changed)} scores (first {model} on {benchmark}: {then} then, {after} now)")
    for what, old, new in (
        ("models", mine.loc[shared], today.models.loc[shared]),
        ("benchmarks", table.benchmarks, today.benchmarks.reindex(table.benchmarks.index)),
    ):
        columns = [c for c in new if c in old and c not in ("cohort", "description", "aliases")]
        known = new["family" if what == "models" else "role"].notna()
        a, b = old.loc[known, columns], new.loc[known, columns]
        differs = (a != b) & ~(a.isna() & b.isna())
        if differs.any(axis=None):
            name, column = differs.stack().loc[lambda cells: cells].index[0]
            found.append(f"facts of {differs.any(axis=1).sum()} {what} (first {column} of {name})")
    return tuple(found)


@lru_cache
def _base_llms(cohort: str) -> ScoreTable:
    table = _load("base_llms")
    if cohort == "all":
        return table
    models = table.models
    return table.select(models.index[models["cohort"] == cohort])


@lru_cache
def _load(folder: str) -> ScoreTable:
    benchmarks = _read(folder, "benchmarks")
    for column, separator in (("excludes", ";"), ("aliases", "|")):
        benchmarks[column] = [tuple(x.split(separator)) if isinstance(x, str) else () for x in benchmarks[column]]
    return ScoreTable(_read(folder, "models"), benchmarks, _read(folder, "scores"))


@lru_cache
def known_corrections() -> pd.DataFrame:
    """Published values that the bundled base table corrects: model, column, source_value, corrected_value, reason."""
    return _read("base_llms", "corrections")


@lru_cache
def _read(folder: str, name: str) -> pd.DataFrame:
    # an empty field is the only missing value; scores stay text here, since pandas 2 does not read floats exactly
    path = tables_folder() / folder / f"{name}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""], encoding="utf-8", dtype={"score": str})
