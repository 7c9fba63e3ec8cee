"""Measure how good forecasts are, and write the tables of the README and of ``docs/record/`` from what was measured.

``python scripts/record.py --run backtests`` runs every command of `RECORDS` into that folder (hours on two cores; what
was finished is taken from the cache), keeps a small summary of each in ``docs/record/*.csv``, and writes the tables.
Without ``--run`` it writes the tables from the summaries that are there. ``--add factor-date --only frontier`` measures
a baseline alone on the questions of a recorded suite, and puts its rows beside the recorded ones. A table stands
between two comments:

    <!-- record: published -->
    <!-- end of record -->
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.suites import score_baselines, suite

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "record"
OURS, FAMILY = "bayes", "family-logistic"
IN_TIME = {
    "best-so-far": "best so far",
    "latest-median": "latest five",
    "date-logistic": "date logistic",
    "factor-date": "factor with date",
}
_SCORES = ["n", "mae", "crps", "coverage_50", "coverage_80", "coverage_90", "coverage_95"]
_PLACE = re.compile(r"(<!-- record: ([\w-]+) -->\n).*?(<!-- end of record -->)", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """What is measured: a command, the table that it writes (or of which one is made), and what is kept of it."""

    command: str
    written: str
    keys: tuple[str, ...]
    values: tuple[str, ...] = tuple(_SCORES)
    methods: tuple[str, ...] = ()
    tabled: Callable[[pd.DataFrame], pd.DataFrame] | None = None

    def condensed(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows and columns that are kept, means over what the keys do not name."""
        if self.tabled is not None:
            table = self.tabled(table)
        if self.methods:
            table = table[table["method"].isin(self.methods)]
        kept = [name for name in self.values if name in table]
        return pooled(table, list(self.keys), kept).round(4) if "n" in kept else table[[*self.keys, *kept]].round(4)


def by_months(cells: pd.DataFrame) -> pd.DataFrame:
    """Scores of cells by setup and months ahead."""
    return Backtest(cells).by_months(("setup", "method"))


def by_source(cells: pd.DataFrame) -> pd.DataFrame:
    """Scores of cells by setup, as-of date and who made the scores, Epoch AI or the vendors."""
    source = np.where(cells["task"].str.startswith("bp_"), "vendor reports", "Epoch's runs")
    return Backtest(cells.assign(source=source, as_of=cells["as_of"].fillna(""))).scores(
        ("setup", "as_of", "source", "method")
    )


RECORDS = {
    "published": Record(
        "backtest --suite published --output {folder}/published",
        "published/scores.csv",
        ("setup", "task", "method"),
        methods=(OURS, "pc-3", "pc-3-parametric", FAMILY),
    ),
    "from-compute": Record(
        "backtest --suite from-compute --output {folder}/from-compute",
        "from-compute/scores.csv",
        ("setup", "method"),
        methods=(OURS, FAMILY, "compute"),
    ),
    "below-cutoff": Record(
        "backtest --suite below-cutoff --output {folder}/below-cutoff",
        "below-cutoff/scores.csv",
        ("setup", "method"),
        methods=(OURS, "pc-3", FAMILY),
    ),
    "as-tasks": Record(
        "backtest --suite as-tasks --output {folder}/as-tasks",
        "as-tasks/scores.csv",
        ("setup", "task", "method"),
        methods=(OURS, "pc-3", FAMILY),
    ),
    "out-of-time": Record(
        "backtest --suite out-of-time --chains 2 --draws 500 --output {folder}/out-of-time",
        "out-of-time/cells.csv",
        ("setup", "months", "method"),
        methods=(OURS, "pc-3", FAMILY),
        tabled=by_months,
    ),
    "frontier": Record(
        "backtest --suite frontier --chains 2 --draws 300 --output {folder}/frontier",
        "frontier/cells.csv",
        ("setup", "as_of", "source", "method"),
        methods=(OURS, *IN_TIME),
        tabled=by_source,
    ),
    "cutoffs": Record(
        "cutoffs --task word_unscrambling,parsinlu_qa,arithmetic_3ds,gsm8k_cot --cutoffs 1e22:3e23:12 --cohort paper "
        "--output {folder}/cutoffs",
        "cutoffs/scores.csv",
        ("cutoff", "method"),
        ("n", "mae", "crps"),
    ),
    "ladder-forecast": Record(
        "ladder --refit --output {folder}/ladder-forecast.csv",
        "ladder-forecast.csv",
        ("model", "N", "D", "recipe", "task", "quantity"),
        ("median", "q5", "q25", "q75", "q95"),
    ),
    "ladder-backtest": Record(
        "ladder --backtest --hold-out 3.17e9 --hold-out 1.28e9 --output {folder}/ladder-backtest.csv",
        "ladder-backtest.csv",
        ("held_out", "quantity", "method"),
        (*_SCORES, "width_90"),
    ),
}


def pooled(table: pd.DataFrame, keys: list[str], values: list[str]) -> pd.DataFrame:
    """Means weighted by the number of cells ``n``, by `keys` in the order of the table; NaN where one is missing."""
    means = [name for name in values if name != "n"]
    groups = table.groupby(keys, sort=False) if keys else [("all", table)]
    rows = []
    for key, group in groups:
        named = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=False))
        weight = group["n"].to_numpy(float)
        averages = {name: float((group[name].to_numpy(float) * weight).sum() / weight.sum()) for name in means}
        rows.append({**named, "n": int(weight.sum()), **averages})
    return pd.DataFrame(rows)


# --- tables -------------------------------------------------------------------------------------------------------


def read(name: str, folder: Path = FOLDER) -> pd.DataFrame:
    """The summary of a record."""
    return summary_at(folder / f"{name}.csv")


def summary_at(path: Path) -> pd.DataFrame:
    """A table as a command wrote it: sizes that were left out are names."""
    return pd.read_csv(path, dtype={"held_out": str})


def markdown(rows: list[list[str]]) -> str:
    """Markdown table; the first row is the head."""
    head, *body = rows
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)) + "\n"


def number(value: float, digits: int = 4) -> str:
    """Number without its leading zero; empty if it is missing."""
    if not np.isfinite(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if abs(value) < 1 and digits else text


def smallest_bold(values: list[float], digits: int = 4) -> list[str]:
    """Numbers, the smallest in bold where there are several."""
    known = [value for value in values if np.isfinite(value)]
    return [
        f"**{number(value, digits)}**" if len(known) > 1 and value == min(known) else number(value, digits)
        for value in values
    ]


def as_published(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ours, of PC-3 (in one method, with the floor that the setup was published with) and of the family."""
    wanted = np.where(table["setup"] == "emergent", "pc-3", "pc-3-parametric")
    chosen = table[table["method"].isin([OURS, FAMILY]) | (table["method"] == wanted)]
    return chosen.assign(method=chosen["method"].replace("pc-3-parametric", "pc-3"))


def published(folder: Path) -> str:
    """Every setup of the published study, ours, PC-3 and the family regression side by side."""
    table = as_published(read("published", folder))
    head = ["setup", "task", "held out", "CRPS", "PC-3", "family", "MAE", "PC-3", "family"]
    rows = [[*head, "in 50 %", "80 %", "90 %", "95 %", "PC-3 in 90 %", "family in 90 %"]]
    groups = [(*key, group) for key, group in table.groupby(["setup", "task"], sort=False)]
    groups.append(("**pooled**", "", pooled(table, ["method"], _SCORES)))
    before = ""
    for setup, task, group in groups:
        by = group.set_index("method").reindex([OURS, "pc-3", FAMILY])
        rows.append(
            [
                "" if setup == before else setup,
                task,
                f"{by['n'].iloc[0]:.0f}",
                *smallest_bold(list(by["crps"])),
                *smallest_bold(list(by["mae"])),
                *(number(by[f"coverage_{level}"].iloc[0], 2) for level in (50, 80, 90, 95)),
                *(number(value, 2) for value in by["coverage_90"].iloc[1:]),
            ]
        )
        before = setup
    return markdown(rows)


# Rows of the small table of the README: where we win and where we lose.
_HEADLINE = ("parsinlu_qa", "arithmetic_3da", "bbh_cot", "word_unscrambling", "gsm8k_cot", "ipa_transliterate_bleu")


def headline(folder: Path) -> str:
    """The published setups in a few rows: pooled, and single tasks."""
    table = as_published(read("published", folder))
    rows = [["", "scores", "CRPS", "PC-3", "family", "in 90 %", "PC-3", "family"]]
    groups = [("all setups", pooled(table, ["method"], _SCORES))]
    groups += [(task, table[table["task"] == task]) for task in _HEADLINE]
    for name, group in groups:
        by = group.set_index("method").reindex([OURS, "pc-3", FAMILY])
        inside = [number(value, 2) for value in by["coverage_90"]]
        rows.append([name, f"{by['n'].iloc[0]:.0f}", *smallest_bold(list(by["crps"])), *inside])
    run = pd.read_csv(folder / "runs.csv", dtype=str).set_index("record").loc["published"]
    return f"{markdown(rows)}\n`bayes-obscaling {run['command']}`, {run['machine']}, {run['date']}; {run['note']}.\n"


def by_design(name: str, rivals: dict[str, str], by: str = "setup") -> Callable[[Path], str]:
    """Table of a suite by setup, or another column: ours with coverage, and the CRPS of `rivals` (label by method)."""

    def made(folder: Path) -> str:
        table = read(name, folder)
        head = [
            "design" if by == "setup" else by,
            "scores",
            "CRPS",
            *rivals.values(),
            "in 50 %",
            "80 %",
            "90 %",
            "95 %",
        ]
        rows = [[*head, *(f"{label} in 90 %" for label in rivals.values())]]
        for design, group in table.groupby(by, sort=False):
            scores = group.set_index("method").reindex([OURS, *rivals])
            coverage = [number(scores[f"coverage_{level}"].iloc[0], 2) for level in (50, 80, 90, 95)]
            theirs = [number(value, 2) for value in scores["coverage_90"].iloc[1:]]
            crps = smallest_bold(list(scores["crps"]))
            rows.append([str(design), f"{scores['n'].iloc[0]:.0f}", *crps, *coverage, *theirs])
        return markdown(rows)

    return made


def out_of_time(folder: Path) -> str:
    """Tasks from benchmarks and benchmarks from compute by months ahead: ours, PC-3 and the family regression."""
    table = read("out-of-time", folder)
    head = ["", "months ahead", "scores", "CRPS", "PC-3", "family", "in 50 %", "80 %", "90 %", "95 %"]
    rows = [[*head, "PC-3 in 90 %", "family in 90 %"]]
    before = ""
    for setup, part in table.groupby("setup", sort=False):
        for months, group in part.groupby("months", sort=False):
            by = group.set_index("method").reindex([OURS, "pc-3", FAMILY])
            inside = [number(by[f"coverage_{level}"].iloc[0], 2) for level in (50, 80, 90, 95)]
            theirs = [number(value, 2) for value in by["coverage_90"].iloc[1:]]
            who = ["" if setup == before else str(setup), str(months), f"{by['n'].iloc[0]:.0f}"]
            rows.append([*who, *smallest_bold(list(by["crps"])), *inside, *theirs])
            before = str(setup)
    return markdown(rows)


def frontier(folder: Path) -> str:
    """Frontier models by split and who made the scores: ours, and baselines that read dates alone."""
    table = read("frontier", folder).fillna({"as_of": ""})
    shown = ["best-so-far", "factor-date"]
    head = ["", "as of", "scores by", "n", "MAE", *(IN_TIME[name] for name in shown), "CRPS", *IN_TIME.values()]
    rows = [[*head, "in 50 %", "80 %", "90 %", "95 %", "factor with date in 90 %"]]
    before = ""
    for (setup, as_of, source), group in table.groupby(["setup", "as_of", "source"], sort=False):
        by = group.set_index("method").reindex([OURS, *IN_TIME])
        inside = [number(by[f"coverage_{level}"].iloc[0], 2) for level in (50, 80, 90, 95)]
        who = ["" if setup == before else str(setup), str(as_of), str(source), f"{by['n'].iloc[0]:.0f}"]
        inside.append(number(by.loc["factor-date", "coverage_90"], 2))
        errors, crps = list(by.loc[[OURS, *shown], "mae"]), list(by["crps"])
        rows.append([*who, *smallest_bold(errors), *smallest_bold(crps), *inside])
        before = str(setup)
    return markdown(rows)


def cutoffs(folder: Path) -> str:
    """Mean absolute error by cutoff."""
    table = read("cutoffs", folder)
    methods = list(dict.fromkeys(table["method"]))
    rows = [["cutoff (FLOPs)", *("ours" if method == OURS else method for method in methods)]]
    for cutoff, group in table.groupby("cutoff"):
        errors = group.set_index("method")["mae"].reindex(methods)
        rows.append([f"{cutoff:.3g}", *smallest_bold(list(errors), 3)])
    return markdown(rows)


def ladder_forecast(folder: Path) -> str:
    """Accuracies forecast for the models of the ladder's recipe: median, 50 and 90 % intervals."""
    table = read("ladder-forecast", folder)
    table = table[table["quantity"] == "accuracy"]
    models = list(dict.fromkeys(table["model"]))
    rows = [["task", *(label for model in models for label in (f"{model}: median", "50 %", "90 %"))]]
    for task, group in table.groupby("task", sort=False):
        by = group.set_index("model").loc[models]
        cells = [
            text
            for one in by.itertuples()
            for text in (
                number(one.median, 3),
                f"{number(one.q25, 3)} to {number(one.q75, 3)}",
                f"{number(one.q5, 3)} to {number(one.q95, 3)}",
            )
        ]
        rows.append([str(task), *cells])
    return markdown(rows)


def ladder_backtest(folder: Path) -> str:
    """A size left out: ours against the published point estimate."""
    table = read("ladder-backtest", folder)
    head = ["left out", "quantity", "MAE", "CRPS", "point estimate's CRPS", "in 50 %", "80 %", "90 %", "95 %"]
    rows = [[*head, "width of 90 %"]]
    before = ""
    for (size, quantity), group in table.groupby(["held_out", "quantity"], sort=False):
        by = group.set_index("method").reindex([OURS, "point estimate"])
        ours = by.iloc[0]
        rows.append(
            [
                "" if size == before else str(size),
                str(quantity).replace("_", " "),
                number(ours["mae"]),
                *smallest_bold(list(by["crps"])),
                *(number(ours[f"coverage_{level}"], 2) for level in (50, 80, 90, 95)),
                number(ours["width_90"], 3),
            ]
        )
        before = size
    return markdown(rows)


def runs(folder: Path) -> str:
    """Which commands were run, when and where."""
    table = pd.read_csv(folder / "runs.csv", dtype=str).fillna("")
    body = [
        [row.record, f"`bayes-obscaling {row.command}`", row.date, row.machine, row.note] for row in table.itertuples()
    ]
    return markdown([["record", "command", "date", "machine", "note"], *body])


TABLES: dict[str, Callable[[Path], str]] = {
    "headline": headline,
    "published": published,
    "from-compute": by_design("from-compute", {FAMILY: "family", "compute": "compute sigmoid"}),
    "below-cutoff": by_design("below-cutoff", {"pc-3": "PC-3", FAMILY: "family"}),
    "as-tasks": by_design("as-tasks", {"pc-3": "PC-3", FAMILY: "family"}, by="task"),
    "out-of-time": out_of_time,
    "frontier": frontier,
    "cutoffs": cutoffs,
    "ladder-forecast": ladder_forecast,
    "ladder-backtest": ladder_backtest,
    "runs": runs,
}


def rewritten(text: str, folder: Path = FOLDER) -> str:
    """Text of a page with the tables made again from the summaries of a folder."""
    return _PLACE.sub(lambda match: f"{match[1]}{TABLES[match[2]](folder)}{match[3]}", text)


def pages() -> list[Path]:
    """Files that hold tables."""
    candidates = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in candidates if _PLACE.search(path.read_text(encoding="utf-8"))]


# --- measuring ----------------------------------------------------------------------------------------------------


def measure(name: str, folder: Path) -> None:
    """Run a command and keep its summary, with the date and the machine."""
    record = RECORDS[name]
    program = Path(sys.executable).parent / "bayes-obscaling"
    subprocess.run([program, *record.command.format(folder=folder).split()], check=True)
    record.condensed(summary_at(folder / record.written)).to_csv(FOLDER / f"{name}.csv", index=False)
    path = FOLDER / "runs.csv"
    known = pd.read_csv(path, dtype=str).fillna("").set_index("record") if path.is_file() else pd.DataFrame()
    about = {
        "command": record.command.format(folder="backtests"),
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores",
        "note": f"version {version('bayes_obscaling')}, seed 0",
    }
    known = pd.concat([known.drop(index=name, errors="ignore"), pd.DataFrame([about], index=[name])])
    known.loc[[one for one in RECORDS if one in known.index]].rename_axis("record").to_csv(path)


def add_baselines(name: str, methods: list[str], folder: Path = FOLDER) -> None:
    """Measure baselines alone on the questions of a recorded suite, put their rows beside its own, and note it."""
    record = RECORDS[name]
    rows = record.condensed(score_baselines(suite(name), methods).cells)
    known = read(name, folder)
    known = known[~known["method"].isin(rows["method"])]
    others = [key for key in record.keys if key != "method"]
    place = {key: i for i, key in enumerate(dict.fromkeys(_groups(known, others)))}
    joined = pd.concat([known, rows], ignore_index=True)
    order = np.argsort([place[key] for key in _groups(joined, others)], kind="stable")
    joined.iloc[order].to_csv(folder / f"{name}.csv", index=False)
    about = pd.read_csv(folder / "runs.csv", dtype=str).fillna("").set_index("record")
    added = ", ".join(dict.fromkeys(rows["method"]))
    before = re.sub(rf"; rows of {re.escape(added)}: [\d-]+", "", about.loc[name, "note"])
    about.loc[name, "note"] = f"{before}; rows of {added}: {date.today().isoformat()}"
    about.to_csv(folder / "runs.csv")


def _groups(table: pd.DataFrame, keys: list[str]) -> list[tuple[str, ...]]:
    return list(table[keys].fillna("").astype(str).itertuples(index=False, name=None))


def main() -> None:
    """Measure, if asked, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="run the commands, with their output in this folder")
    parser.add_argument("--only", choices=RECORDS, action="append", help="only these records; repeatable")
    parser.add_argument("--add", action="append", metavar="BASELINE", help="add this baseline to the suites of --only")
    given = parser.parse_args()
    if given.add and not given.only:
        parser.error("--add needs --only: name the suites")
    if given.run is not None:
        given.run.mkdir(parents=True, exist_ok=True)
        for name in given.only or RECORDS:
            measure(name, given.run)
    for name in given.only if given.add else ():
        add_baselines(name, given.add)
    for path in pages():
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
