"""Published tables in the form that the reader takes: each step knows one habit and leaves other tables as they are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from bayes_obscaling.data.formats import RawTable
from bayes_obscaling.data.headers import aside, field_of, long_column, plain, stderr_of
from bayes_obscaling.data.known import find_known, known_benchmarks
from bayes_obscaling.data.numbers import read_number

_LINK = re.compile(r"<[^<>]+>|^\[(.+)\]\([^()]*\)$")
_HELM = re.compile(r"^(?P<name>.+?) - (?P<metric>.+)$")
_HELM_ASIDE = re.compile(r"ECE|Robustness|Fairness|Stereotypes|Representation|Toxic|time|tokens|# eval|truncated", re.I)
_SINGLE = re.compile(
    r"score|mean score|best score.*|accuracy|overall accuracy|average score|em|value|result|average|challenge score"
)
_LEADERBOARD_2 = ("IFEval", "BBH", "MATH Lvl 5", "GPQA", "MUSR", "MMLU-PRO")


def understood(raw: RawTable) -> RawTable:
    """Return the table with the habits of published tables undone, and notes that say which."""
    for step in (_plain_names, _fullname, _open_llm_raw, _open_llm_normalised, _helm, _livebench, _arena, _one_score):
        raw = step(raw)
    return upright(raw)


def _renamed(raw: RawTable, names: dict[str, str], *notes: str) -> RawTable:
    return replace(raw, frame=raw.frame.rename(columns=names)).noting(*notes)


def _without(raw: RawTable, columns: list[str], *notes: str) -> RawTable:
    return replace(raw, frame=raw.frame.drop(columns=columns)).noting(*notes)


def _plain_names(raw: RawTable) -> RawTable:
    """Take links off names."""

    def text(cell: object) -> object:
        if not isinstance(cell, str) or not _LINK.search(cell.strip()):
            return cell
        found = _LINK.match(cell.strip())
        return found[1] if found and found[1] else re.sub(r"\s+", " ", _LINK.sub(" ", cell)).strip()

    frame = raw.frame
    linked = [
        c for c in frame.columns if any(isinstance(cell, str) and _LINK.search(cell) for cell in _cells(frame, c))
    ]
    if not linked or frame.columns.has_duplicates:
        return raw
    return replace(raw, frame=frame.assign(**{column: frame[column].map(text) for column in linked}))


def _fullname(raw: RawTable) -> RawTable:
    """Where a leaderboard names a model twice, keep the plain name."""
    plain_name = next((c for c in raw.frame if plain(c) in ("fullname", "model name for query")), None)
    shown = next((c for c in raw.frame if plain(c) == "model"), None)
    if plain_name is None or shown is None:
        return raw
    return _renamed(_without(raw, [shown]), {plain_name: shown})


def _open_llm_raw(raw: RawTable) -> RawTable:
    """Take ``GPQA Raw`` for GPQA: the second Open LLM Leaderboard gives each score twice, once without chance."""
    pairs = [c for c in raw.frame if isinstance(c, str) and f"{c} Raw" in raw.frame]
    if not pairs:
        return raw
    note = f"left aside: {', '.join(pairs)}, from which chance was subtracted; the raw columns are read"
    return _renamed(_without(raw, pairs), {f"{name} Raw": name for name in pairs}, note)


def _open_llm_normalised(raw: RawTable) -> RawTable:
    """Add chance to the scores of the second Open LLM Leaderboard where it gives none with chance."""
    if not set(_LEADERBOARD_2) <= set(raw.frame.columns):
        return raw
    numbers = {name: _numbers(raw.frame, name) for name in _LEADERBOARD_2}
    gpqa = numbers["GPQA"].dropna()
    chance = {name: float(known_benchmarks()[find_known(name) or name]["chance"]) for name in _LEADERBOARD_2}
    if not len(gpqa) or gpqa.max() <= 1 or gpqa.min() > 80 * chance["GPQA"]:
        return raw  # no percents, or none that lies below chance
    changed = [name for name in _LEADERBOARD_2 if chance[name] > 0]
    back = {name: (numbers[name] / 100 * (1 - chance[name]) + chance[name]).round(6) * 100 for name in changed}
    text = {name: [None if value != value else f"{value:.10g}%" for value in back[name]] for name in changed}
    text |= {n: [None if v != v else f"{v:.10g}%" for v in numbers[n]] for n in _LEADERBOARD_2 if n not in changed}
    note = (
        f"scores of the second Open LLM Leaderboard: chance was subtracted from {', '.join(changed)} and is added back "
        "(BBH and MUSR are means over parts of several chance levels: approximate)"
    )
    return replace(raw, frame=raw.frame.assign(**text)).noting(note)


def _helm(raw: RawTable) -> RawTable:
    """Read ``MMLU - EM`` of HELM as MMLU, and leave aside what HELM measures besides accuracy."""
    found = {c: match for c in raw.frame if isinstance(c, str) and (match := _HELM.match(c))}
    if len(found) < 2:
        return raw
    others = [c for c, match in found.items() if _HELM_ASIDE.search(match["metric"])]
    kept = {c: match["name"] for c, match in found.items() if c not in others}
    if len(set(kept.values())) < len(kept):
        return raw
    notes = ["a table of HELM: metrics are taken off the headers"]
    notes += [f"left aside: {', '.join(others)}"] * bool(others)
    adapter = {c: "Model" for c in raw.frame if plain(str(c)) in ("model/adapter", "model / adapter")}
    return _renamed(_without(raw, others), kept | adapter, *notes)


def _livebench(raw: RawTable) -> RawTable:
    """Name the categories of LiveBench, which it calls averages."""
    columns = {plain(c): c for c in raw.frame if isinstance(c, str)}
    parts = {
        c: f"LiveBench {words.removesuffix(' average')}" for words, c in columns.items() if words.endswith(" average")
    }
    if "global average" not in columns or len(parts) < 3:
        return raw
    parts.pop(columns["global average"])
    return _renamed(raw, parts, "a table of LiveBench: its categories are benchmarks")


def _arena(raw: RawTable) -> RawTable:
    """Name the rating of the Arena."""
    words = {plain(c): c for c in raw.frame if isinstance(c, str)}
    rating = next((words[name] for name in ("score", "rating", "elo", "arena score") if name in words), None)
    if rating is None or "votes" not in words or "Arena-Elo" in raw.frame:
        return raw
    return _renamed(raw, {rating: "Arena-Elo"}, f"a table of the Arena: {rating} is Arena-Elo")


def _one_score(raw: RawTable) -> RawTable:
    """Name the only score of a file after the file where that is a benchmark, as Epoch's tables need."""
    columns = [c for c in raw.frame if isinstance(c, str)]
    if any(long_column(c) == "benchmark" for c in columns):
        return raw
    scores = [c for c in columns if _SINGLE.fullmatch(plain(c))]
    errors = [c for c in columns if plain(c) in ("stderr", "standard error", "std err")]
    others = [c for c in columns if c not in scores + errors and not aside(c) and not _field(c)]
    others = [c for c in others if stderr_of(c) is None and _numbers(raw.frame, c).notna().any()]
    name = Path(raw.name).stem.removesuffix("_external") if "." in Path(raw.name).name else ""
    is_of_epoch = any(plain(c) == "model version" for c in columns)
    if not scores or others or not name or not (is_of_epoch or find_known(name)):
        return raw
    first = next((c for c in scores if plain(c) != "average"), scores[0])
    names = {first: name} | {c: f"{name}_stderr" for c in errors[:1]}
    return _renamed(raw, names, f"{first} is the score on {name}, as the file is called")


def _field(header: str) -> str:
    """Return what of a model a column holds, "" for another column."""
    try:
        field = field_of(header)
    except ValueError:  # its unit is not known, which the reader says
        return "flops"
    return field.name if field else ""


def upright(raw: RawTable) -> RawTable:
    """Return the table with a row per model: turned where its rows are benchmarks and its columns models."""
    columns = [str(c) for c in raw.frame]
    if len(columns) < 2 or raw.frame.columns.has_duplicates:
        return raw
    if any(_field(c) == "model" or long_column(c) in ("score", "benchmark") for c in columns[1:]):
        return raw
    labels = [str(label).strip() for label in raw.frame.iloc[:, 0]]
    judged = [label for label in labels if not aside(label)]  # a row of notes or averages says nothing
    are_benchmarks = sum(map(_is_benchmark_or_field, judged)) > len(judged) / 2
    corner_says = long_column(columns[0]) == "benchmark"
    if not corner_says and not (are_benchmarks and not any(map(_is_benchmark_or_field, columns[1:]))):
        is_nameless = columns[0] == "" and not are_benchmarks
        return _renamed(raw, {raw.frame.columns[0]: "Model"}) if is_nameless else raw
    if len(set(labels)) < len(labels) or "" in labels:
        return raw
    frame = pd.DataFrame(raw.frame.iloc[:, 1:].T.to_numpy(dtype=object), columns=labels, dtype=object)
    if not any(_field(label) == "model" for label in labels):  # else a row names the models
        frame.insert(0, "Model", columns[1:])
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    note = "the table has a row per benchmark and was turned: what is called a row below is one of its columns"
    return replace(raw, frame=frame).noting(note)


def _is_benchmark_or_field(text: str) -> bool:
    return find_known(text) is not None or _field(text) != ""


def _cells(frame: pd.DataFrame, column: str) -> list[object]:
    found = frame[column]
    return [] if isinstance(found, pd.DataFrame) else found.tolist()


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return the numbers of a column, NaN where a cell holds none."""

    def value(cell: object) -> float:
        if isinstance(cell, bool) or cell is None:
            return float("nan")
        try:
            number = read_number(str(cell))
        except ValueError:
            return float("nan")
        return float("nan") if number is None else float(number.value)

    return pd.Series([value(cell) for cell in _cells(frame, column)], index=None, dtype=float)
