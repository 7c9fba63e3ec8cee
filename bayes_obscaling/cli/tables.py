"""Commands about tables of scores: check, tasks, models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from bayes_obscaling.cli.groups import Option
from bayes_obscaling.cli.options import TableOutputs
from bayes_obscaling.cli.scores import Bundled, DescribedBy, OnDuplicates, Sheet, bundled_table
from bayes_obscaling.cli.show import err, out, plain, print_checks, print_json, print_table
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable


def check(
    files: Annotated[list[Path] | None, Option("Tables of scores of any kind, or ladders.", is_argument=True)] = None,
    bundled: Bundled = "",
    benchmarks: DescribedBy = None,
    sheet: Sheet = None,
    duplicates: OnDuplicates = "refuse",
    loss: Annotated[str, "Column of a ladder that is its loss, where it has a name of its own."] = "",
    *,
    outputs: TableOutputs,
) -> None:
    """Check tables of scores, and ladders, before they are believed.

    Prints how they were read, and one PASS, REVIEW or FAIL line per check, with the remedy. Exit code 2 for FAIL,
    otherwise 0. Files are compared with the base table, or with that of --table; without files that table is checked.

    Example: bayes-obscaling check mine.csv --benchmarks exam.csv
    """
    from dataclasses import asdict

    import pandas as pd

    from bayes_obscaling.data import check_table
    from bayes_obscaling.data.ladder_checks import check_ladder
    from bayes_obscaling.data.ladder_reading import is_ladder

    if not (files or bundled):
        raise InputError("Nothing to check was named: give a file, or a bundled table with --table.")
    against = bundled_table(bundled or "base")
    how: dict[str, Any] = {"benchmarks": benchmarks, "sheet": sheet, "duplicates": duplicates}
    if files:
        checks = {
            str(file): check_ladder(file, loss=loss) if is_ladder(file) else check_table(file, against=against, **how)
            for file in files
        }
    else:
        if benchmarks or sheet or loss or duplicates != "refuse":
            raise InputError("--benchmarks, --sheet, --duplicates and --loss are about your own table: give its file.")
        checks = {f"the bundled table {bundled}": check_table(against)}
    rows = [{"file": file, **asdict(one)} for file, found in checks.items() for one in found]
    if outputs.as_json:
        print_json(rows)
    else:
        for file, found in checks.items():
            out().print(f"[bold]{plain(file)}[/]")
            print_checks(found)
    for name in outputs.write_table(pd.DataFrame(rows)):
        (err() if outputs.as_json else out()).print(f"Wrote {plain(name)}")
    if any(one.level == "FAIL" for found in checks.values() for one in found):
        raise click.exceptions.Exit(2)


def tasks(bundled: Bundled = "", *, outputs: TableOutputs) -> None:
    """List the bundled tasks and benchmarks.

    Prints name, role, number of scores, chance, items, published cutoff and exclusions of each, and the category of
    skill in the frontier table, which is listed when --table names it.

    Example: bayes-obscaling tasks
    """

    def row(source: str, name: str, facts: Any, scores: int) -> dict[str, Any]:
        return {
            "name": name,
            "role": facts["role"],
            "table": source,
            "scores": scores,
            "chance": facts["chance"],
            "items": facts["n_items"],
            "cutoff": facts["cutoff_flops"],
            "left out": ", ".join(facts["excludes"]),
            "category": facts["category"],
            "description": facts["description"],
        }

    rows = [
        row(source, str(name), facts, counts.get(name, 0))
        for source, table in _listed(bundled).items()
        for counts in [table.scores["benchmark"].value_counts().to_dict()]
        for name, facts in table.benchmarks.iterrows()
    ]
    rows.sort(key=lambda row: row["role"] != "task")
    _show_rows(rows, outputs, "cutoff: published cutoff in FLOPs; left out: no predictor of this task by default.")


def models(bundled: Bundled = "", *, outputs: TableOutputs) -> None:
    """List the bundled models.

    Prints name, family, size, data, compute and number of scores of each, and provider, error of compute in decades
    and open weights in the frontier table, which is listed when --table names it.

    Example: bayes-obscaling models
    """
    columns = ["family", "provider", "params", "tokens", "flops", "flops_sd", "date", "open_weights", "cohort"]
    rows = [
        {"name": name, **facts[columns].to_dict(), "scores": counts.get(name, 0)}
        for table in _listed(bundled).values()
        for counts in [table.scores["model"].value_counts().to_dict()]
        for name, facts in table.models.iterrows()
    ]
    remark = "paper: the models of the published study, fitted by default."
    if bundled == "frontier":
        remark = "flops_sd: standard deviation of log10 FLOPs, in decades."
    _show_rows(rows, outputs, remark)


def _listed(bundled: str) -> dict[str, ScoreTable]:
    """The bundled tables to list: the one that was named, else all but the long one."""
    return {name: bundled_table(name) for name in ([bundled] if bundled else ("base", "instruct"))}


def _show_rows(rows: list[dict[str, Any]], outputs: TableOutputs, remark: str) -> None:
    """Print rows as a table or as JSON, and write them."""
    import pandas as pd

    from bayes_obscaling.data.frames import OPTIONAL, says_something

    table = pd.DataFrame(rows)
    silent = [name for name in table.columns.intersection([*OPTIONAL]) if not says_something(table[name])]
    table = table.drop(columns=silent)
    if outputs.as_json:
        print_json(
            [
                {name: None if value != value else value for name, value in row.items()}
                for row in table.to_dict("records")
            ]
        )
    else:
        print_table(table.drop(columns="description", errors="ignore"))
        out().print(remark)
    for name in outputs.write_table(table):
        (err() if outputs.as_json else out()).print(f"Wrote {plain(name)}")
