"""Commands about tables of scores: check, tasks, models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from bayes_obscaling.cli.groups import Option
from bayes_obscaling.cli.options import DescribedBy, OnDuplicates, Sheet, TableOutputs
from bayes_obscaling.cli.show import err, out, plain, print_checks, print_json, print_table

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable


def check(
    files: Annotated[list[Path], Option("Tables of scores of any kind.", is_argument=True)],
    benchmarks: DescribedBy = None,
    sheet: Sheet = None,
    duplicates: OnDuplicates = "refuse",
    *,
    outputs: TableOutputs,
) -> None:
    """Check tables of scores before they are believed.

    Prints how they were read, and one PASS, REVIEW or FAIL line per check, with the remedy. Exit code 2 for FAIL,
    otherwise 0.

    Example: bayes-obscaling check mine.csv --benchmarks exam.csv
    """
    from dataclasses import asdict

    import pandas as pd

    from bayes_obscaling.data import check_table, load_base_llms

    against = load_base_llms()
    checks = {
        str(file): check_table(file, benchmarks, against=against, sheet=sheet, duplicates=duplicates) for file in files
    }
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


def tasks(*, outputs: TableOutputs) -> None:
    """List the bundled tasks and benchmarks.

    Prints name, role, number of scores, chance, items, published cutoff and exclusions of each.

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
            "description": facts["description"],
        }

    rows = [
        row(source, str(name), facts, counts.get(name, 0))
        for source, table in _bundled().items()
        for counts in [table.scores["benchmark"].value_counts().to_dict()]
        for name, facts in table.benchmarks.iterrows()
    ]
    rows.sort(key=lambda row: row["role"] != "task")
    _show_rows(rows, outputs, "cutoff: published cutoff in FLOPs; left out: no predictor of this task by default.")


def models(*, outputs: TableOutputs) -> None:
    """List the bundled models.

    Prints name, family, size, data, compute and number of scores of each.

    Example: bayes-obscaling models
    """
    columns = ["family", "params", "tokens", "flops", "date", "cohort"]
    rows = [
        {"name": name, **facts[columns].to_dict(), "scores": counts.get(name, 0)}
        for table in _bundled().values()
        for counts in [table.scores["model"].value_counts().to_dict()]
        for name, facts in table.models.iterrows()
    ]
    _show_rows(rows, outputs, "paper: the models of the published study, fitted by default.")


def _bundled() -> dict[str, ScoreTable]:
    from bayes_obscaling.data import load_base_llms, load_instruct_llms

    return {"base": load_base_llms(), "instruct": load_instruct_llms()}


def _show_rows(rows: list[dict[str, Any]], outputs: TableOutputs, remark: str) -> None:
    """Print rows as a table or as JSON, and write them."""
    import pandas as pd

    table = pd.DataFrame(rows)
    if outputs.as_json:
        print_json([{name: None if value != value else value for name, value in row.items()} for row in rows])
    else:
        print_table(table.drop(columns="description", errors="ignore"))
        out().print(remark)
    for name in outputs.write_table(table):
        (err() if outputs.as_json else out()).print(f"Wrote {plain(name)}")
