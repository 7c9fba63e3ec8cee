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
