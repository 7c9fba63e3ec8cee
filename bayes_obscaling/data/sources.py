"""Where the scores of a table come from: who published them, under which licence, and which are the user's own."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from bayes_obscaling.data.bundled import bundled_hashes, read_bundled
from bayes_obscaling.data.table import ScoreTable

OWN = "your table"
"""Source of every score that is not bundled, or differs from the bundled one."""
_KEY = ["model", "benchmark", "rounded"]
_FACTS = ["title", "address", "version", "licence"]


class Sources(NamedTuple):
    """Sources of the scores of a table."""

    cells: pd.DataFrame
    """One row per score: model, benchmark, title, kind ("model_card" ...), address of the score, else of its source."""
    listed: pd.DataFrame
    """One row per source: title, address, version, licence, scores."""


def sources_of(table: ScoreTable) -> Sources:
    """Return the sources of the scores of a table, score by score, and the list of them."""
    scores = table.scores.assign(rounded=lambda rows: rows["score"].round(9))
    cells = scores[_KEY].merge(_published(), on=_KEY, how="left")
    cells["title"] = cells["title"].fillna(OWN)
    cells = cells.fillna("")
    listed = cells.groupby(_FACTS, sort=False).size().rename("scores").reset_index()
    cells["address"] = cells["ref"].where(cells["ref"] != "", cells["address"])
    listed = listed.sort_values("scores", ascending=False, kind="stable").reset_index(drop=True)
    return Sources(cells[["model", "benchmark", "title", "kind", "address"]], listed)


def source_of_ladder() -> dict[str, str]:
    """Title, address, version and licence of the bundled ladder."""
    listed = read_bundled("", "sources").set_index("table")
    return {name: str(listed.at["olmo_ladder", name]) for name in _FACTS}


@lru_cache
def _published() -> pd.DataFrame:
    """Every bundled score with its source; ``ref`` is the page on which it was published, where one is known."""
    listed, parts = read_bundled("", "sources").fillna(""), []
    for folder in bundled_hashes():
        scores = read_bundled(folder, "scores")
        given = {name: scores[name].fillna("") if name in scores else "" for name in ("source", "ref", "kind")}
        scores = scores.assign(**given, table=folder)
        scores["source"] = scores["source"].replace("epoch_eci", "epoch")  # one of Epoch's tables
        scores["ref"] = scores["ref"].where(scores["ref"].astype(str).str.startswith("https://"), "")
        parts.append(scores.merge(listed, on=["table", "source"], how="left"))
    frame = pd.concat(parts, ignore_index=True)
    frame["rounded"] = frame["score"].astype(float).round(9)
    return frame[[*_KEY, *_FACTS, "ref", "kind"]].drop_duplicates(_KEY)
