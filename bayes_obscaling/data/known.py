"""Common benchmarks under their usual names: chance level, items and metric, as publicly known (no scores)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

import pandas as pd

from bayes_obscaling.data.bundled import tables_folder

_SETTING = re.compile(
    r"[\s_,;:(\[|/-]*(?:\b|_)(?:"
    r"(?:n\s*=\s*)?\d+[\s_-]*shots?|few[\s_-]*shot|zero[\s_-]*shot|none|strict[\s_-]*match|flexible[\s_-]*extract|"
    r"acc(?:uracy)?(?:[\s_-]*norm)?|em|exact[\s_-]*match|pass@1|f1|score|raw|val(?:idation)?|test"
    r")[\s)\]]*$",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^(?:leaderboard|harness|inspect_evals|lm[-_ ]eval)[\s_|:/]+", re.IGNORECASE)


def key_of(name: str) -> str:
    """Return the letters and digits of a benchmark's name, by which its spellings are alike."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in text if char.isalnum() or char == "+")


def bare(name: str) -> str:
    """Return the name of a benchmark without what says how it was run: shots, metric, the tool."""
    name = _PREFIX.sub("", name.strip())
    while (shorter := _SETTING.sub("", name)) and shorter != name:
        name = shorter
    return name


@lru_cache
def known_benchmarks() -> dict[str, dict[str, Any]]:
    """Facts of every known benchmark by its name: chance, n_items, metric, kind, lower, upper, aliases, description."""
    frame = pd.read_csv(tables_folder() / "known_benchmarks.csv", encoding="utf-8")
    frame["aliases"] = [tuple(text.split("|")) for text in frame["aliases"]]
    facts: dict[str, dict[str, Any]] = frame.set_index("benchmark").to_dict("index")  # type: ignore[assignment]
    return facts


@lru_cache
def _keys() -> dict[str, str]:
    keys = {key_of(name): name for name in known_benchmarks()}
    for name, facts in known_benchmarks().items():
        for alias in facts["aliases"]:
            keys.setdefault(key_of(alias), name)
    return keys


def find_known(name: str) -> str | None:
    """Return the name under which a benchmark is known, from one of its usual spellings; None for another."""
    return _keys().get(key_of(name)) or _keys().get(key_of(bare(name)))


def metric_of(name: str) -> str:
    """Return the metric that is usual for a benchmark, "" where none is known."""
    known = find_known(name)
    return str(known_benchmarks()[known]["metric"]) if known else ""
