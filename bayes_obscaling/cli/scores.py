"""Options about scores, each said once: the bundled tables, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from bayes_obscaling.cli.groups import Option, Options
from bayes_obscaling.cli.show import note
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable

DescribedBy = Annotated[Path | None, "Chance, items, range of your own benchmarks (a table)."]
Sheet = Annotated[str | None, "Sheet of a workbook; default the first."]
OnDuplicates = Annotated[
    Literal["refuse", "mean", "first"], "Several scores of a model on a benchmark: refuse, average, or keep the first."
]
Bundled = Annotated[str, Option("Bundled table: base, instruct or frontier.", ("--table",))]


def bundled_table(name: str) -> ScoreTable:
    """A bundled table by its name on the command line."""
    from bayes_obscaling import data

    loads = {"base": data.load_base_llms, "instruct": data.load_instruct_llms, "frontier": data.load_frontier}
    if name not in loads:
        raise InputError(f"There is no bundled table '{name}': take base, instruct or frontier.")
    return loads[name]()


@dataclass(frozen=True)
class TableOptions(Options):
    """Which scores: the bundled table and the user's own."""

    panel = "Scores"

    bundled: Bundled = ""
    scores: Annotated[list[Path] | None, "Your own scores: CSV, Excel, JSON, results of a tool; repeatable."] = None
    benchmarks: DescribedBy = None
    sheet: Sheet = None
    duplicates: OnDuplicates = "refuse"
    cohort: Annotated[Literal["all", "paper"] | None, "Bundled base models: all 148, or the study's 77."] = None

    def load(
        self, tasks: Sequence[str] | None = None, models: Sequence[str] | None = None, bundled: str = ""
    ) -> ScoreTable:
        """Merge the user's files into a bundled table, and keep the models to fit on.

        Parameters
        ----------
        tasks : sequence of str, optional
            They choose the bundled table where no option does, and new columns of these names are tasks.
        models : sequence of str, optional
            Models to keep as well.
        bundled : {"base", "instruct", "frontier"}, optional
            Name of the bundled table where no option says it; default that which holds the tasks.
        """
        from bayes_obscaling.data import read_scores

        name = self.bundled or bundled
        before = table = bundled_table(name) if name else self._holding(tasks or ())
        if self.bundled == "instruct" and self.scores:
            raise InputError("--scores adds to the base or the frontier table: leave out --table instruct.")
        if self.bundled not in ("", "base") and self.cohort:
            raise InputError(f"--cohort is about base models: leave it out, or leave out --table {self.bundled}.")
        about_own = [flag for flag in self.given() if flag not in ("--cohort", "--table")]
        if not self.scores and about_own:
            raise InputError(f"{about_own[0]} is about your own table: give that table with --scores.")
        for file in self.scores or ():
            how: dict[str, Any] = {"sheet": self.sheet, "duplicates": self.duplicates}
            table = read_scores(file, self.benchmarks, tasks=tuple(tasks or ()), into=table, **how)
        for line in table.notes if self.scores else ():
            note(line)
        if before is not bundled_table("base") or self.cohort != "paper":
            return table
        kept = {*_changed_models(before, table), *resolved(table, models)}
        facts = table.models
        return table.select(list(facts.index[(facts["cohort"] == self.cohort) | facts.index.isin(kept)]))

    def _holding(self, tasks: Sequence[str]) -> ScoreTable:
        """The first bundled table that alone holds the tasks, the base table where none does.

        Nobody's own scores go to the frontier table unasked: what is new to the base table is a task there.
        """
        base = bundled_table("base")
        if tasks and not any(base.find(task) for task in tasks):
            for name in ("instruct",) if self.scores else ("instruct", "frontier"):
                table = bundled_table(name)
                if all(table.find(task) for task in tasks):
                    return table
        return base


def _changed_models(before: ScoreTable, table: ScoreTable) -> set[str]:
    """Models that are new in a table, or have a score that is new or differs."""
    if table is before:
        return set()
    key = ["model", "benchmark"]
    known, now = (part.scores.set_index(key)["score"] for part in (before, table))
    same = now.index.isin(known.index) & (known.reindex(now.index) == now)
    return {*(set(table.models.index) - set(before.models.index)), *now.index[~same].get_level_values("model")}


def resolved(table: ScoreTable, models: Sequence[str] | None) -> list[str]:
    """Names of models as the table writes them."""
    return [table.resolve_model(name) for name in models or ()]


def check_family(table: ScoreTable, name: str) -> None:
    """Refuse a family that the table does not have; 'new' is one never seen."""
    from bayes_obscaling.data.names import family_named

    if name != "new":
        family_named(name, table.families, "name one, or 'new' for an unseen one")
