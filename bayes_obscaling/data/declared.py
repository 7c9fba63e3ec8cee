"""What is said of benchmarks and tasks: in a benchmarks table, in rows of scores, in tables that are known already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from bayes_obscaling.data.frames import BENCHMARK_DEFAULTS
from bayes_obscaling.data.headers import without_percent
from bayes_obscaling.data.known import find_known, key_of, known_benchmarks
from bayes_obscaling.data.names import close_names
from bayes_obscaling.data.rules import check_number, check_range, check_role, shared_name
from bayes_obscaling.data.settings import NO, YES
from bayes_obscaling.data.sheet import Sheet, Source, read_sheet
from bayes_obscaling.data.table import ScoreTable

_NUMBERS = ("chance", "n_items", "lower", "upper", "cutoff_flops")
_FLAGS = ("signed", "has_ceiling")
_LISTS = {"excludes": ";", "aliases": "|"}  # column -> what separates its names
_CHANCE_AGREES = 0.005  # chance levels that differ more are not the same
_RESCALED = ("Arena-Elo",)  # bundled scores that were scaled by their own extremes
_TAKEN = {
    "task": "taken for a task, which is forecast if asked for and predicts nothing (give it the role benchmark in a "
    "benchmarks table if it measures capability)",
    "benchmark": "taken for a benchmark that measures capability, since no other column does (otherwise name it as a "
    "task, say so in a benchmarks table, or remove the column)",
}


UNKNOWN_CHANCE = "its chance level is not said, so that a fit infers it from the scores"
"""What is told of a new benchmark or task of which nobody says what a guesser scores."""


class Declared:
    """What a benchmarks table says, on top of what the score table and the defaults say.

    Parameters
    ----------
    table : ScoreTable
        The table that the scores will be merged into; what it says of a benchmark is settled.
    source : DataFrame or path, optional
        The benchmarks table.
    tasks : iterable of str
        New benchmarks that are tasks.
    references : sequence of ScoreTable
        Tables whose facts are used for a benchmark that ``table`` does not have.
    """

    def __init__(
        self, table: ScoreTable, source: Source | None, tasks: Iterable[str], references: Sequence[ScoreTable] = ()
    ) -> None:
        self.table = table
        self.references = references
        self.tasks = {_task_key(task) for task in tasks}
        self.rows: dict[str, dict[str, object]] = {}  # canonical name -> what was said
        self.names: dict[str, str] = {}  # name or alias of a new benchmark in lower case -> canonical name
        self.chances: dict[str, float] = table.benchmarks["chance"].dropna().to_dict()
        self.notes: list[str] = []
        self._by_key = {key_of(name): str(name) for name in table.benchmarks.index}
        if source is not None:
            self._read(source)

    def _read(self, source: Source) -> None:
        sheet = read_sheet(source, "benchmark", "a column 'benchmark' with the names of the benchmarks and tasks")
        fields = [column.casefold() for column in sheet.columns]
        for column, field in zip(sheet.columns, fields, strict=True):
            if field not in ("benchmark", *BENCHMARK_DEFAULTS):
                near = close_names(field, list(BENCHMARK_DEFAULTS))
                remedy = f"is it {near[0]!r}?" if near else f"remove it; known are {', '.join(BENCHMARK_DEFAULTS)}"
                raise sheet.error("the column is not known", remedy, column=column)
        for row, cells in sheet.rows:
            facts = {}
            for column, field, cell in zip(sheet.columns, fields, cells, strict=True):
                value = self._value(sheet, row, column, field, cell)
                if not (value == "" or value == () or value != value):
                    facts[field] = value
            name = str(facts.pop("benchmark", ""))
            if name == "":
                raise sheet.error("the row has no name", "name it or remove the row", row, "benchmark")
            self._add(sheet, row, name, facts)

    def _value(self, sheet: Sheet, row: int, column: str, field: str, cell: object) -> object:
        if field in _NUMBERS:
            value = sheet.number(row, column, cell)
            check_number(field, value, sheet.place(row, column))
            return value
        if field in _LISTS and isinstance(cell, tuple | list):
            return tuple(str(part).strip() for part in cell)
        text = sheet.text(cell)
        if field in _LISTS:
            return tuple(part.strip() for part in text.split(_LISTS[field]) if part.strip())
        if field in _FLAGS and text:
            if text.casefold() not in YES | NO:
                raise sheet.error(f"{text!r} is neither true nor false", "write one of them", row, column)
            return text.casefold() in YES
        if field == "role" and text:
            check_role(text.casefold(), sheet.place(row, column))
        return text.casefold() if field == "role" else text

    def _add(self, sheet: Sheet, row: int, name: str, facts: dict[str, object]) -> None:
        known = self.table.find(name)
        canonical = known or name
        if canonical.casefold() in (other.casefold() for other in self.rows):
            raise sheet.error(f"{canonical!r} is listed twice", "keep one row of it", row, "benchmark")
        lower, upper = (float(facts.get(end, BENCHMARK_DEFAULTS[end])) for end in ("lower", "upper"))  # type: ignore[arg-type]
        check_range(lower, upper, sheet.place(row))
        if known is not None:
            self._agree_with_table(sheet, row, known, facts)
        else:
            for alias in (name, *facts.get("aliases", ())):  # type: ignore[misc]
                taken = self.table.find(alias) or self.names.get(alias.casefold())
                if taken not in (None, name):
                    raise shared_name(alias, taken, sheet.place(row))
                self.names[alias.casefold()] = name
        elsewhere = find_known(canonical) if known is None else None
        self.rows[canonical] = _known_facts(elsewhere, ("chance", "n_items")) | facts if elsewhere else facts
        facts = self.rows[canonical]
        if "chance" in facts:
            self.chances[canonical] = float(facts["chance"])  # type: ignore[arg-type]

    def _agree_with_table(self, sheet: Sheet, row: int, name: str, facts: dict[str, object]) -> None:
        """Refuse another role, chance or shape; the raw range and the item count belong to the user's scores."""
        settled = self.table.benchmarks.loc[name]
        for field in ("role", "chance", "signed", "has_ceiling"):
            if field in facts and facts[field] != settled[field]:
                known = settled[field] if settled[field] == settled[field] else "unknown"
                problem = f"{name} has {field} {known} in the table, not {facts[field]}"
                raise sheet.error(problem, "leave it empty, or give the benchmark another name", row, field)
        if name in _RESCALED and ("lower" in facts or "upper" in facts):
            problem = (
                f"{name} in the table was scaled by its own weakest and strongest model, which raw ratings do not fit"
            )
            raise sheet.error(problem, "give yours another name", row)

    def is_said(self, name: str) -> bool:
        """Whether a column of this name is a benchmark or task for sure: the table or somebody says so."""
        folded = name.casefold()
        return self.table.find(name) is not None or folded in self.names or _task_key(name) in self.tasks

    def is_known(self, name: str) -> bool:
        """Whether a benchmark or task has facts: those of the table, of the user, or those that are generally known."""
        is_referred = any(reference.find(name) for reference in self.references)
        return self.is_said(name) or is_referred or find_known(name) is not None

    def canonical(self, name: str) -> str:
        """Return the one name of a benchmark or task, new ones as first spelled without a mark of percent."""
        plain = without_percent(name)[0]
        usual = find_known(plain)
        spellings = [name, plain, *((usual, *known_benchmarks()[usual]["aliases"]) if usual else ())]
        found = next((known for one in spellings if (known := self._find(one))), None) or self._by_key.get(
            key_of(plain)
        )
        if found is None:
            found = next((known for one in spellings if (known := self._from_references(one))), None)
            if found is None and usual:
                self._take_over(plain, usual)
            found = found or plain
        elif key_of(found) != key_of(name):
            self.notes.append(f"read {name!r} as {found}")
        for one in (name, plain, usual):
            if one:
                self.names.setdefault(one.casefold(), found)
        return found

    def _find(self, name: str) -> str | None:
        return self.table.find(name) or self.names.get(name.casefold())

    def _from_references(self, name: str) -> str | None:
        """Take over what the references know of a benchmark that the table lacks."""
        for reference in self.references:
            if known := reference.find(name):
                facts = self.rows[known] = reference.benchmarks.loc[known].to_dict()
                if facts["chance"] == facts["chance"]:
                    self.chances.setdefault(known, facts["chance"])
                return known
        return None

    def _take_over(self, name: str, usual: str) -> None:
        """Take over what is generally known of a benchmark."""
        facts = self.rows[name] = _known_facts(usual, ("chance", "n_items", "lower", "upper", "aliases", "description"))
        facts["role"] = "task" if _task_key(name) in self.tasks else "benchmark"
        facts["aliases"] = (usual, *facts["aliases"])  # type: ignore[misc]
        if not is_index(name):
            self.chances.setdefault(name, float(facts["chance"]))  # type: ignore[arg-type]
            items = f", {facts['n_items']:.0f} items" if "n_items" in facts else ""
            self.notes.append(f"{name} is taken for the known benchmark {usual}: chance {facts['chance']:g}{items}")

    def agree_on_chance(self, sheet: Sheet, row: int, name: str, chance: float) -> None:
        """See that the chance level in a row is one, and the same wherever it is given."""
        if np.isnan(chance):
            return
        check_number("chance", chance, sheet.place(row, "chance"))
        if name not in self.chances and self.table.find(name) is not None:
            problem = f"the chance level of {name} is unknown in the table, {chance:g} here"
            raise sheet.error(problem, "leave it empty, or state it where the table is read", row, "chance")
        before = self.chances.setdefault(name, chance)
        if abs(before - chance) > _CHANCE_AGREES:
            problem = f"the chance level of {name} is {before:g} elsewhere, {chance:g} here"
            raise sheet.error(problem, "make them agree", row, "chance")

    def range(self, name: str, *, raw: bool) -> tuple[float, float]:
        """Return the range of the scores in the file that maps to 0..1."""
        facts = dict(BENCHMARK_DEFAULTS)
        if raw and self.table.find(name):
            facts |= self.table.benchmarks.loc[name].to_dict()
        facts |= self.rows.get(name, {})
        return float(facts["lower"]), float(facts["upper"])  # type: ignore[arg-type]

    def new_rows(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Return the benchmarks that the table does not know, with all that was said or is assumed of them."""
        new = self._new(scores)
        counts = {str(name): column.dropna() for name, column in scores.groupby("benchmark", sort=False)["n_items"]}
        rows = {}
        roles = self._roles(new)
        for name in new:
            facts = dict(self.rows.get(name, {}))
            if "n_items" not in facts and counts[name].nunique() == 1:
                facts["n_items"] = counts[name].iloc[0]
            if name in self.chances:
                facts["chance"] = self.chances[name]
            elif is_index(name):  # a rating has no floor that a guesser reaches
                facts["chance"] = 0.0
            row = BENCHMARK_DEFAULTS | facts | {"role": roles[name]}
            # a benchmark that is known but has no scores here is not in the table and cannot be left out of anything
            excluded = (self.canonical(other) for other in row["excludes"])  # type: ignore[attr-defined]
            row["excludes"] = tuple(x for x in excluded if x in new or x not in self.rows or self.table.find(x))
            spelled = [one for one, canonical in self.names.items() if canonical == name and one != name.casefold()]
            row["aliases"] = tuple(
                alias
                for alias in dict.fromkeys((*row["aliases"], *spelled))  # type: ignore[misc]
                if self.table.find(alias) is None
                and self.names.get(alias.casefold(), name) == name
                and alias.casefold() not in {other.casefold() for other in new}
            )
            rows[name] = row
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(BENCHMARK_DEFAULTS))
        return frame.rename_axis("benchmark")

    def _roles(self, new: list[str]) -> dict[str, str]:
        """Return what new columns are: tasks, unless somebody says benchmark or nothing else measures capability."""
        said = {name: "task" if _task_key(name) in self.tasks else self.rows.get(name, {}).get("role") for name in new}
        measured = self.table.benchmark_names or "benchmark" in said.values()
        return {name: str(role or ("task" if measured else "benchmark")) for name, role in said.items()}

    def assumed(self, scores: pd.DataFrame) -> dict[str, str]:
        """Say what is assumed of the new benchmarks because nobody said it."""
        counted = scores["benchmark"][scores["n_items"].notna()].unique()
        missing = {}
        new = self._new(scores)
        roles = self._roles(new)
        for name in new:
            facts = self.rows.get(name, {})
            has_items = "n_items" in facts or name in counted
            parts = []
            if not find_known(name):
                parts += [UNKNOWN_CHANCE] * (name not in self.chances) + ["assumed no item count"] * (not has_items)
            if "role" not in facts and _task_key(name) not in self.tasks:
                parts.append(_TAKEN[roles[name]])
            if parts:
                missing[name] = f"{name} is new; {'; '.join(parts)}"
        return missing

    def _new(self, scores: pd.DataFrame) -> list[str]:
        return [name for name in scores["benchmark"].unique() if self.table.find(name) is None]


def _task_key(name: str) -> str:
    """Return by what the name of a task is known again, in whichever usual spelling."""
    plain = without_percent(name)[0]
    return key_of(find_known(plain) or plain) or plain.casefold()


def _known_facts(usual: str, fields: tuple[str, ...]) -> dict[str, object]:
    """Return what is generally known of a benchmark, as far as it is known."""
    facts = known_benchmarks()[usual]
    return {field: facts[field] for field in fields if facts[field] == facts[field]}


def is_index(name: str) -> bool:
    """Whether a score is an index or rating, of which no chance level is meant."""
    usual = find_known(name)
    return usual is not None and known_benchmarks()[usual]["kind"] == "index"
