"""What `import bayes_obscaling as bo` offers."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import bayes_obscaling as bo

PACKAGES = [bo, bo.ask, bo.design, bo.evaluation, bo.plots, bo.validation]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_loads_and_is_visible_to_editors(package: ModuleType):
    assert sorted(package.__all__) == sorted(dir(package))
    for name in package.__all__:
        value = getattr(package, name)
        assert value.__doc__, name
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    typed = {name.name for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert typed == set(package.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_the_surface_is_small():
    assert len(bo.__all__) <= 36
    assert bo.__version__ == version("bayes_obscaling")
    assert (Path(str(bo.__file__)).parent / "py.typed").is_file()


def test_importing_it_loads_no_sampler():
    code = "import sys, bayes_obscaling; print(sorted({'jax', 'pandas', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tables_and_ladders_are_told_apart():
    assert isinstance(bo.load("base-llms", only="paper"), bo.ScoreTable)
    assert isinstance(bo.load("olmo-ladder", only="paper"), bo.Ladder)
    with pytest.raises(bo.InputError, match="olmo-ladder"):
        bo.load("olmo")  # type: ignore[call-overload]
    with pytest.raises(bo.InputError, match="only"):
        bo.load("base-llms", only="some")  # type: ignore[call-overload]
    scores = pd.DataFrame({"model": ["a", "b"], "family": ["f", "f"], "MMLU": [0.3, 0.5]})
    mine = bo.read(scores)
    assert isinstance(mine, bo.ScoreTable)
    assert list(mine.models.index) == ["a", "b"]
    runs = pd.DataFrame(
        [
            {"N": n, "D": d, "task": "piqa", "loss": 1.5 - 0.1 * i - 0.05 * j, "accuracy": 0.5 + 0.05 * i + 0.02 * j}
            for i, n in enumerate((1e8, 3e8, 1e9))
            for j, d in enumerate((2e9, 6e9, 2e10))
        ]
    )
    assert isinstance(bo.read(runs), bo.Ladder)
    with pytest.raises(bo.InputError, match="cutoffs"):
        bo.study(bo.load("olmo-ladder"), "piqa", [1e20], "nowhere")  # type: ignore[arg-type]
    with pytest.raises(bo.InputError, match="dict"):
        bo.fit({}, "MMLU")  # type: ignore[call-overload]
