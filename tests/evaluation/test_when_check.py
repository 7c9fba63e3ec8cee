"""When scores were passed, and whether the forecast dates held them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.evaluation import when_check
from bayes_obscaling.evaluation.when_check import WhenCheck, check_when, crossings
from bayes_obscaling.results.when import When


def table() -> ScoreTable:
    dates = {"a": "2024-01-01", "b": "2024-02-01", "c": "2024-03-01", "d": "2025-02-01", "e": "2025-06-01"}
    models = pd.DataFrame({"model": list(dates), "family": "F", "date": list(dates.values())})
    scores = pd.DataFrame(
        [("a", 0.11), ("b", 0.31), ("c", 0.25), ("d", 0.52), ("e", 0.71)], columns=["model", "score"]
    ).assign(benchmark="quiz")
    few = scores.iloc[[0, 1, 3]].assign(benchmark="few")
    benchmarks = pd.DataFrame({"benchmark": ["quiz", "few"], "chance": [0.0, 0.0]})
    return ScoreTable(models, benchmarks, pd.concat([scores, few]))


def test_crossings_are_of_the_first_model_above_a_level_nobody_had_passed():
    found = crossings(table(), "2024-06-01")
    assert set(found["task"]) == {"quiz"}  # few: two scores before
    assert dict(zip(found["level"], found["crossed"], strict=True)) == {
        0.4: "2025-02-01",
        0.5: "2025-02-01",
        0.6: "2025-06-01",
        0.7: "2025-06-01",
    }
    assert set(found["best"]) == {0.31}


def test_dates_are_compared_with_their_forecasts(monkeypatch: pytest.MonkeyPatch):
    """A forecast of 2025.0 to 2025.2: it holds the first crossing and not the second."""
    draws = np.linspace(2025.0, 2025.2, 101)

    def answer(*_: object, **__: object) -> When:
        row = {
            "median": "2025-02-06",
            "q5": "2025-01-04",
            "q25": "2025-01-19",
            "q75": "2025-02-24",
            "q95": "2025-03-10",
        }
        return When(pd.DataFrame([row]), (), (), draws=draws)

    class Fitted:
        problems = ("R-hat 2",)

    monkeypatch.setattr(when_check, "fit_table", lambda *_, **__: Fitted())
    monkeypatch.setattr(when_check, "when", answer)
    found = check_when(table(), "2024-06-01", progress=False)
    late = found.table.set_index("level")["error_months"]
    assert late[0.4] == pytest.approx(0.2, abs=0.1) and late[0.7] == pytest.approx(-3.8, abs=0.1)
    assert found.table.set_index("level")["pit"][0.7] == 1.0
    assert "4 levels of 1 benchmarks" in found.sentences[0]
    assert "50 % interval held 50%" in found.sentences[0] and "90 % interval 50%" in found.sentences[0]
    assert found.problems == ("R-hat 2",)
    assert isinstance(found, WhenCheck) and len(found.plot().get_yticklabels()) == 4
    with pytest.raises(bo.InputError, match="No benchmark passed a tenth"):
        check_when(table(), "2025-07-01", progress=False)
