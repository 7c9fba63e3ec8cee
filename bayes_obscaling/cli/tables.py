"""Commands about tables of scores: check, tasks, models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bayes_obscaling.cli.common import out, plain
from bayes_obscaling.cli.options import Benchmarks


def check(
    files: Annotated[list[Path], typer.Argument(help="Tables of scores (CSV).")],
    benchmarks: Benchmarks = None,
) -> None:
    """Check tables of scores: PASS, REVIEW and FAIL lines; exit code 2 on FAIL."""
    from bayes_obscaling.data import check_table, load_base_llms

    colours = {"PASS": "green", "REVIEW": "yellow", "FAIL": "red"}
    failed = False
    for file in files:
        out.print(f"[bold]{plain(str(file))}[/]", highlight=False)
        for finding in check_table(file, benchmarks, against=load_base_llms()):
            failed |= finding.level == "FAIL"
            text = f"{finding.check}: {finding.message}" + (f" -> {finding.remedy}" if finding.remedy else "")
            colour = colours[finding.level]
            out.print(f"  [{colour}]{finding.level:6}[/] {plain(text)}", highlight=False, soft_wrap=True)
    if failed:
        sys.exit(2)


def tasks(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the bundled tasks and benchmarks: counts, chance, items, published cutoffs and exclusions."""
    from bayes_obscaling.data import load_base_llms, load_instruct_llms

    rows = []
    for source, table in (("base", load_base_llms()), ("instruct", load_instruct_llms())):
        counts = table.scores["benchmark"].value_counts()
        for name, facts in table.benchmarks.iterrows():
            rows.append(
                {
                    "name": name,
                    "role": facts["role"],
                    "table": source,
                    "scores": int(counts.get(name, 0)),
                    "chance": facts["chance"],
                    "items": facts["n_items"],
                    "cutoff": facts["cutoff_flops"],
                    "left out": ", ".join(facts["excludes"]),
                    "description": facts["description"],
                }
            )
    rows.sort(key=lambda row: row["role"] != "task")
    print_rows(rows, as_json, "cutoff: published cutoff in FLOPs; left out: no predictor of this task by default.")


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the bundled models: family, size, data, compute, number of scores."""
    from bayes_obscaling.data import load_base_llms, load_instruct_llms

    rows = []
    for table in (load_base_llms(), load_instruct_llms()):
        counts = table.scores["model"].value_counts()
        for name, facts in table.models.iterrows():
            rows.append(
                {
                    "name": name,
                    **facts[["family", "params", "tokens", "flops", "cohort"]].to_dict(),
                    "scores": int(counts.get(name, 0)),
                }
            )
    print_rows(rows, as_json, "paper: the models of the published study, fitted by default.")


def print_rows(rows: list[dict[str, Any]], as_json: bool, note: str) -> None:
    """Print rows as a table or as JSON."""
    if as_json:
        print(json.dumps([{k: None if v != v else v for k, v in row.items()} for row in rows], indent=2))
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    shown = [name for name in rows[0] if name != "description"]
    for name in shown:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in shown))
    out.print(table)
    out.print(note, highlight=False)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return plain(value)
    if value != value:
        return ""
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.3g}"
