"""Options about scores, each said once: the bundled tables, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from bayes_obscaling.cli.groups import Option, Options
from bayes_obscaling.cli.heed import Accept, accepted_checks, heeded
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
    accept: Accept = None
    cohort: Annotated[Literal["all", "paper"] | None, "Bundled base models: all 148, or the study's 77."] = None

    def check(self) -> None:
        """Refuse names of checks that there are not."""
        self._accepted()

    def load(
        self, tasks: Sequence[str] | None = None, models: Sequence[str] | None = None, bundled: str = ""
    ) -> ScoreTable:
        """Merge the user's files, each of them checked, into a bundled table, and keep the models to fit on.

        Parameters
        ----------
        tasks : sequence of str, optional
            They choose the bundled table where no option does, and new columns of these names are tasks.
        models : sequence of str, optional
            Models to keep as well.
        bundled : {"base", "instruct", "frontier"}, optional
            Name of the bundled table where no option says it; default that which holds the tasks.

        Raises
        ------
        InputError
            If a file cannot be used, or fails a check that is not accepted.
        """
        name = self.bundled or bundled
        before = table = bundled_table(name) if name else self._holding(tasks or ())
        if self.bundled == "instruct" and self.scores:
            raise InputError("--scores adds to the base or the frontier table: leave out --table instruct.")
        if self.bundled not in ("", "base") and self.cohort:
            raise InputError(f"--cohort is about base models: leave it out, or leave out --table {self.bundled}.")
        about_own = [flag for flag in self.given() if flag not in ("--cohort", "--table")]
        if not self.scores and about_own:
            raise InputError(f"{about_own[0]} is about your own table: give that table with --scores.")
        table = self.merged(table, self.scores or (), tasks or ())
        for line in table.notes if self.scores else ():
            note(line)
        if before is not bundled_table("base") or self.cohort != "paper":
            return table
        kept = {*_changed_models(before, table), *resolved(table, models)}
        facts = table.models
        return table.select(list(facts.index[(facts["cohort"] == self.cohort) | facts.index.isin(kept)]))

    def alone(self) -> TableOptions:
        """The bundled table without the user's own scores."""
        return TableOptions(bundled=self.bundled, cohort=self.cohort)

    def merged(
        self, table: ScoreTable, files: Sequence[Path], tasks: Sequence[str] = (), *, only_new: bool = False
    ) -> ScoreTable:
        """Return the table with files that are checked before they are believed; its notes say what was found.

        With `only_new`, models that the table has are left as they are, and columns that it does not have aside.

        Raises
        ------
        InputError
            If a file cannot be used, or fails a check that is not accepted.
        """
        from bayes_obscaling.data.checks import check_merged
        from bayes_obscaling.data.parsing import parse
        from bayes_obscaling.data.reading import merge

        how: dict[str, Any] = {"sheet": self.sheet, "duplicates": self.duplicates}
        known = table
        for file in files:
            parsed = parse(table, file, self.benchmarks, tasks=tuple(tasks), **how)
            parsed = parsed.of_new_models(known) if only_new else parsed
            after = merge(table, parsed)
            table = after.noting(heeded(file, check_merged(table, parsed, after), self._accepted()))
        return table

    def _accepted(self) -> set[str]:
        """Names of the checks that are accepted, as they are spelled."""
        if not self.accept:
            return set()
        from bayes_obscaling.data.checks import CHECKS

        return accepted_checks(self.accept, CHECKS)

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
    from bayes_obscaling.data.reading import new_scores

    return {*(set(table.models.index) - set(before.models.index)), *new_scores(before, table)["model"]}


def resolved(table: ScoreTable, models: Sequence[str] | None) -> list[str]:
    """Names of models as the table writes them."""
    return [table.resolve_model(name) for name in models or ()]


def check_family(table: ScoreTable, name: str) -> None:
    """Refuse a family that the table does not have; 'new' is one never seen."""
    from bayes_obscaling.data.names import family_named

    if name != "new":
        family_named(name, table.families, "name one, or 'new' for an unseen one")
