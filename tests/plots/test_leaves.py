"""Plots are leaves: they draw what they are given, and import nothing that computes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bayes_obscaling as bo
from bayes_obscaling import plots
from bayes_obscaling.analyses import anomalies, efficiency
from bayes_obscaling.evaluation.backtest import OURS
from bayes_obscaling.plots import analyses, left_out

MODULES = sorted(Path(plots.__file__).parent.glob("*.py"))
ALLOWED = ("bayes_obscaling.plots", "bayes_obscaling.errors", "bayes_obscaling.lazy")


def run_time_imports(node: ast.AST) -> list[str]:
    """Modules that are imported anywhere below a node, but for the blocks that only type checkers read."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return []
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom):
        assert not node.level and node.module
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    return names + [name for child in ast.iter_child_nodes(node) for name in run_time_imports(child)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_plot_imports_no_module_that_computes(path: Path) -> None:
    own = [name for name in run_time_imports(ast.parse(path.read_text())) if name.startswith("bayes_obscaling")]
    assert [name for name in own if not name.startswith(ALLOWED)] == []


def test_every_plot_has_one_home_and_can_be_reached_from_the_package() -> None:
    public = {
        item.name
        for path in MODULES
        for item in ast.parse(path.read_text()).body
        if isinstance(item, ast.FunctionDef) and item.name.startswith("plot_")
    }
    assert public == set(plots.__all__)
    assert plots.__all__ == sorted(plots.__all__) == dir(plots)
    for name in plots.__all__:
        assert getattr(bo.plots, name).__module__.startswith("bayes_obscaling.plots.")
    with pytest.raises(AttributeError, match="no attribute 'plot_tea'"):
        _ = plots.plot_tea


def test_names_that_plots_know_by_heart_are_those_of_the_tables() -> None:
    assert {anomalies.TOO_GOOD, anomalies.TOO_BAD, ""} == set(analyses._FLAGS)
    assert analyses._OVERALL == efficiency.OVERALL
    assert OURS in left_out._METHODS
