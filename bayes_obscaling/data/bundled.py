"""The tables that ship with the package; their provenance is in ``data/README.md``."""

from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from bayes_obscaling.data.table import ScoreTable


def tables_folder() -> Path:
    """Folder of the bundled tables: inside an installed package, else ``data/`` of the repository."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_tables"
    return installed if installed.is_dir() else package.parent / "data"


# Columns of models and benchmarks that no forecast reads.
_DESCRIPTIVE = ("cohort", "description", "aliases", "open_weights", "provider")
Cohort = Literal["paper", "later", "all"]


def load_base_llms(cohort: Cohort = "all") -> ScoreTable:
    """Return the scores of base (pretrained) LLMs on 8 benchmarks and 13 tasks.

    Parameters
    ----------
    cohort : {"paper", "later", "all"}
        The 77 models of the published study; these and the 20 that it forecast before they came; or all 148.
    """
    if cohort not in get_args(Cohort):
        raise ValueError(f"cohort is {cohort!r}; it must be 'paper', 'later' or 'all'")
    return _base_llms(cohort)


def load_instruct_llms() -> ScoreTable:
    """Return the scores of 27 instruction-tuned LLMs on 9 benchmarks and 2 agent tasks."""
    return _load("instruct_llms")


def load_frontier() -> ScoreTable:
    """Return the scores of 188 models of 2023-03 to 2026-05 on 129 benchmarks, an eighth of all that could be.

    Epoch AI's own runs, and what vendors report (benchmarks ``bp_...``). Compute is an estimate whose error is
    ``flops_sd``, and not known of most; a score may have a setting, and `ScoreTable.other_settings` holds the others.
    """
    return _load("frontier")


def bundled_hashes() -> dict[str, str]:
    """Content hashes of the bundled tables of LLMs, by name."""
    return {name: table.data_hash for name, table in _bundled().items()}


def changed_since(table: ScoreTable) -> tuple[str, ...]:
    """Phrases, one per kind of difference, that say how today's bundled data differ from a table built on them.

    Models that both have are compared. A user's own score in place of a bundled one counts as a difference.
    """
    models = table.models
    today = max(_bundled().values(), key=lambda other: other.models.index.isin(models.index).sum())
    shared = today.models.index.intersection(models.index)
    key, differences = ["model", "benchmark"], []
    if not len(shared):
        return ()
    before, now = (frame[frame["model"].isin(shared)].set_index(key)["score"] for frame in (table.scores, today.scores))
    both = pd.concat({"then": before, "now": now}, axis=1)
    own = ~both.index.get_level_values("benchmark").isin(today.benchmarks.index)  # the user's own benchmarks
    changed = both[~own & (both["then"] != both["now"])]
    if len(changed):
        (model, benchmark), first = changed.index[0], changed.iloc[0]
        then, after = (f"{value:.4g}" if value == value else "none" for value in first[["then", "now"]])
        differences.append(f"{len(changed)} scores (first {model} on {benchmark}: {then} then, {after} now)")
    for what, old, new in (
        ("models", models.loc[shared], today.models.loc[shared]),
        ("benchmarks", table.benchmarks, today.benchmarks.reindex(table.benchmarks.index)),
    ):
        columns = [c for c in new if c in old and c not in _DESCRIPTIVE]
        known = new["family" if what == "models" else "role"].notna()
        a, b = old.loc[known, columns], new.loc[known, columns]
        differs = (a != b) & ~(a.isna() & b.isna())
        if differs.any(axis=None):
            name, column = differs.stack().loc[lambda cells: cells].index[0]
            differences.append(f"facts of {differs.any(axis=1).sum()} {what} (first {column} of {name})")
    return tuple(differences)


def _bundled() -> dict[str, ScoreTable]:
    return {"base_llms": load_base_llms(), "instruct_llms": load_instruct_llms(), "frontier": load_frontier()}


@lru_cache
def _base_llms(cohort: str) -> ScoreTable:
    table = _load("base_llms")
    if cohort == "all":
        return table
    models = table.models
    return table.select(models.index[models["cohort"].isin({"paper", cohort})])


@lru_cache
def _load(folder: str) -> ScoreTable:
    benchmarks = read_bundled(folder, "benchmarks")
    for column, separator in (("excludes", ";"), ("aliases", "|")):
        benchmarks[column] = [tuple(x.split(separator)) if isinstance(x, str) else () for x in benchmarks[column]]
    others = (
        read_bundled(folder, "other_settings") if (tables_folder() / folder / "other_settings.csv").is_file() else None
    )
    return ScoreTable(read_bundled(folder, "models"), benchmarks, read_bundled(folder, "scores"), other_settings=others)


@lru_cache
def known_corrections() -> pd.DataFrame:
    """Published values that the bundled base table corrects: model, column, source_value, corrected_value, reason."""
    return read_bundled("base_llms", "corrections")


@lru_cache
def read_bundled(folder: str, name: str) -> pd.DataFrame:
    """Return a bundled file as it is; a folder "" is that of the tables."""
    # an empty field is the only missing value; scores stay text here, since pandas 2 does not read floats exactly
    path = tables_folder() / folder / f"{name}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""], encoding="utf-8", dtype={"score": str})
