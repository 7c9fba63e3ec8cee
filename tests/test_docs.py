"""The documentation says what the code does: equations, names, columns, commands and figures."""

from __future__ import annotations

import ast
import importlib.util
import posixpath
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scored_cells import LAST, made_backtest, made_dated_study, made_study

import bayes_obscaling as bo
from bayes_obscaling import ask
from bayes_obscaling.evaluation import cells
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.evaluation.stacking import stack_of
from bayes_obscaling.models.ladder import LadderPriors
from bayes_obscaling.models.priors import Beta, HalfNormal, LogNormal, Lumps, Normal, Prior
from bayes_obscaling.results.fit import CapabilityFit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MODEL = (DOCS / "explanation" / "model.md").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    """A module of ``scripts/``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- equations ----------------------------------------------------------------------------------------------------


def cited(text: str) -> tuple[set[int], set[int]]:
    """Numbers of the equations that a text cites: one by one, and all of them, ranges included."""
    single: set[int] = set()
    every: set[int] = set()
    for match in re.findall(r"Equations? ([\d, to and\n]+?) of docs/explanation/model\.md", text):
        for part in re.split(r",|\band\b", match):
            low, _, high = part.partition("to")
            if high:
                every |= {int(low), int(high)}
            else:
                single.add(int(low))
    return single, every | single


def docstrings() -> str:
    paths = sorted((ROOT / "bayes_obscaling").rglob("*.py"))
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = (ast.get_docstring(node) for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)))
    return "\n".join(text for text in texts if text)


def test_equations_are_numbered_without_gaps_and_the_code_cites_each():
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", MODEL)]
    assert numbers == list(range(1, len(numbers) + 1))
    single, every = cited(docstrings())
    assert every <= set(numbers)
    assert single == set(numbers)


def test_citations_are_read():
    assert cited("Equations 2, 3 and 5 of docs/explanation/model.md") == ({2, 3, 5}, {2, 3, 5})
    assert cited("Equations 1 to\n8 of docs/explanation/model.md") == (set(), {1, 8})


@pytest.mark.parametrize("priors", [bo.Priors(), LadderPriors()], ids=["capability", "ladder"])
def test_the_page_of_the_model_has_every_prior(priors: bo.Priors | LadderPriors):
    page = MODEL.split("## The ladder model")[isinstance(priors, LadderPriors)]
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for name in type(priors).model_fields:
        prior = getattr(priors, name)
        said = written(prior)
        assert any(f"`{name}`" in row and said in row for row in rows), f"{name}: {said}"


def written(prior: Prior) -> str:
    """A prior as the page writes it."""

    def short(value: float) -> str:
        return re.sub(r"^0\.", ".", f"{value:.3g}")

    if isinstance(prior, Lumps):
        lumps = [f"{short(weight)} at {short(at)}" for at, weight in zip(prior.at, prior.weight, strict=True)]
        return f"Lumps({', '.join(lumps)}; {short(prior.sd)}, {short(prior.top)})"
    assert isinstance(prior, (Normal, LogNormal, HalfNormal, Beta))
    numbers = [re.sub(r"^0\.", ".", f"{value:g}") for value in prior.model_dump().values()]
    return f"{type(prior).__name__}({', '.join(numbers)})"


# --- names --------------------------------------------------------------------------------------------------------


def test_every_public_name_is_in_the_reference():
    pages = (DOCS / "reference" / "api").glob("*.md")
    listed = {
        line.removeprefix("::: ") for page in pages for line in page.read_text().splitlines() if line[:3] == ":::"
    }
    rooms = [bo, bo.ask, bo.design, bo.evaluation, bo.plots, bo.validation]
    names = {f"{room.__name__}.{name}" for room in rooms for name in room.__all__}
    assert names - listed == {room.__name__ for room in rooms[1:]}


def test_methods_are_described():
    page = (DOCS / "reference" / "methods.md").read_text(encoding="utf-8")
    assert {name for name in BASELINES if f"`{name}`" not in page} == set()


def test_pages_do_not_use_names_that_are_gone():
    """Names of the package in pages, as ``bo.ask.factors``, exist."""
    for page in PAGES:
        for name in re.findall(r"\bbo\.([\w.]*\w)", page.read_text(encoding="utf-8")):
            value: object = bo
            for part in name.split("."):
                value = getattr(value, part)


# --- columns ------------------------------------------------------------------------------------------------------


def test_every_column_is_described(made_fit: CapabilityFit, dated_fit: CapabilityFit):
    page = (DOCS / "reference" / "columns.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([^`\n]+)`", page))
    families = set(made_fit.layout.families)
    for what, tables in (*columns_of(made_fit), *columns_of_dates(dated_fit)):
        missing = set(tables) - described - families
        assert not missing, f"{what}: {sorted(missing)}"


def columns_of(fit: CapabilityFit) -> Iterable[tuple[str, list[str]]]:
    """Columns of the tables that can be made without sampling."""
    forecast = bo.forecast(fit)
    yield "forecast", list(forecast.to_dataframe())
    yield "quantiles", list(forecast.quantiles([0.5]))
    yield "probability", list(forecast.probability(0.5))
    yield "hub", list(forecast.to_hub())
    findings = {
        "factors": ask.factors(fit),
        "efficiency": ask.efficiency(fit, family=fit.layout.families[0]),
        "worth": ask.worth(fit, [fit.layout.models[0]], family=fit.layout.families[1]),
        "anomalies": ask.anomalies(fit),
        "gain": ask.gain(fit, "task-0", "task-1", families=[fit.layout.families[0]]),
        "diagnose": bo.diagnose(fit),
        "stack": stack_of({"a": fit, "b": fit}, scored_specs(), "leave-one-out"),
        "inference": ask.inference_compute(bo.open("base-llms"), bo.open("frontier")),
    }
    for what, finding in findings.items():
        for table in (finding.summary(), finding.to_dataframe(), *finding.parts.values()):
            yield what, [str(name) for name in table]
    scored = made_backtest()
    yield "cells", list(scored.cells)
    yield "scores", list(scored.summary())
    yield "by_distance", list(scored.by_distance())
    yield "differences", list(scored.differences())
    studied = made_study()
    yield "study", list(studied.summary())
    yield "error_area", list(studied.error_area())
    dated = made_dated_study()
    yield "study by date", list(dated.summary())
    yield "by_months", list(dated.backtest().by_months())
    made = [
        cells.by_months(dated),
        cells.trajectory(dated, "alpha", LAST),
        cells.trajectory(studied, "alpha", LAST),
        cells.error_by_cutoff(studied),
        cells.by_distance(studied),
        cells.coverage(studied),
        cells.emergence(studied, "alpha", 0.5),
    ]
    for table in made:
        yield "evaluation.cells", list(table)
    chosen = bo.design.bayesian_design(fit, "task-0", 3)
    for table in (chosen.summary(), *chosen.parts.values()):
        yield "select", list(table)


def scored_specs() -> pd.DataFrame:
    """Two held-out scores under two specs."""
    rows = [("a", "m", -1.0), ("a", "n", -2.0), ("b", "m", -2.0), ("b", "n", -1.0)]
    frame = pd.DataFrame(rows, columns=["spec", "model", "log_density"])
    return frame.assign(cut="", task="t", family=frame["model"], observed=0.5, pareto_k=0.1)


def columns_of_dates(fit: CapabilityFit) -> Iterable[tuple[str, list[str]]]:
    """Columns of the tables that a fit with a drift makes."""
    yield "forecast", list(bo.forecast(fit, {"family": "new", "flops": 1e24}).summary())
    for finding in (
        ask.drift(fit),
        ask.compute_to_reach(fit, "bench-1", 0.5, "new"),
        ask.date_to_reach(fit, "bench-1", 0.5, "new", 1e23),
    ):
        for table in (finding.summary(), finding.to_dataframe(), *finding.parts.values()):
            yield type(finding).__name__, list(table)


# --- commands and figures -----------------------------------------------------------------------------------------


def test_commands_of_the_pages_exist_with_their_options():
    commands = script("docs_site").commands()
    lines = [line for page in PAGES for line in re.findall(r"bayes-obscaling +([^`\n#]+)", page.read_text())]
    seen = 0
    for line in lines:
        name, *words = line.split()
        if name not in commands:
            continue
        known = {flag for option in commands[name].params for flag in (*option.opts, *option.secondary_opts, "-h")}
        assert {word for word in words if word.startswith("-") and not re.match(r"-\d", word)} <= known, line
        seen += 1
    assert seen > 40


def test_the_page_of_the_command_line_has_every_command_and_option():
    site = script("docs_site")
    page = site.command_page()
    for name, command in site.commands().items():
        section = page.split(f"## {name}\n")[1].split("\n## ")[0]
        for option in command.params:
            flags = [flag for flag in option.opts if flag.startswith("-") and flag not in getattr(option, "old", ())]
            assert all(flag in section for flag in flags), (name, flags)


def test_tables_of_the_record_are_those_of_its_summaries():
    record = script("record")
    pages = record.pages()
    assert {page.name for page in pages} >= {"README.md", "published.md", "ladder.md"}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert record.rewritten(text) == text, f"{page.name}: run python scripts/record.py"


def test_a_record_keeps_a_summary_of_what_a_suite_writes(tmp_path: Path):
    record = script("record")
    scored = made_backtest()
    scores = scored.summary()
    kept = record.RECORDS["published"].condensed(scores)
    assert set(kept["method"]) <= {"bayes", "pc-3", "pc-3-parametric", "family-logistic"}
    assert {"setup", "task", "method", "n", "mae", "crps", "coverage_90"} <= set(kept)
    whole = record.pooled(scores[scores["method"] == "bayes"], [], ["n", "mae"]).iloc[0]
    ours = scored.cells.query("method == 'bayes'")
    assert whole["n"] == len(ours)
    np.testing.assert_allclose(whole["mae"], (ours["median"] - ours["observed"]).abs().mean())
    ahead = record.RECORDS["out-of-time"].condensed(made_dated_study().cells)
    assert {"setup", "months", "method", "n", "crps", "coverage_90"} <= set(ahead)
    ahead.to_csv(tmp_path / "out-of-time.csv", index=False)
    lines = record.out_of_time(tmp_path).splitlines()
    ours = ahead[ahead["method"] == "bayes"]
    assert len(lines) == 2 + len(ours) and f"| {ours['months'].iloc[0]} | {ours['n'].iloc[0]} |" in lines[2]
    by_cutoff = record.RECORDS["cutoffs"].condensed(made_study().summary())
    assert list(by_cutoff) == ["cutoff", "method", "n", "mae", "crps"]
    assert not by_cutoff.duplicated(["cutoff", "method"]).any()


def test_numbers_are_written_without_their_zero():
    record = script("record")
    assert [record.number(value, 2) for value in (0.5, 1.0, np.nan)] == [".50", "1.00", ""]
    assert record.smallest_bold([0.2, 0.1, np.nan]) == [".2000", "**.1000**", ""]


def test_links_between_files_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_links_of_notebooks_lead_to_pages_of_the_site():
    made = dict(script("docs_site").pages())
    pages = {uri: text for uri, text in made.items() if uri.startswith("tutorials/") and isinstance(text, str)}
    assert len(pages) > 10
    for uri, text in pages.items():
        for target in re.findall(r"\]\(([^)#\s]+\.(?:md|ipynb|png))", text):
            place = posixpath.normpath(posixpath.join("tutorials", target))
            assert place in made or (ROOT / "docs" / place).exists(), f"{uri}: {target}"


def test_python_of_the_pages_is_python():
    blocks = [block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]
    assert len(blocks) > 8
    for block in blocks:
        ast.parse(block)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 110
