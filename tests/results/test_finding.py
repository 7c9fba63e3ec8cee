"""What every result can do: a table, words, a verdict, JSON, a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_obscaling as bo
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.readable import readable

TABLE = pd.DataFrame({"model": [f"m<{i}>" for i in range(25)], "median": np.r_[np.nan, np.arange(24) / 7]})


@pytest.fixture
def found() -> Finding:
    return Finding(TABLE, ("One thing.",), (), {"more": TABLE.head(2)})


def test_a_finding_speaks(found: Finding):
    assert found.summary() is TABLE
    text = str(found)
    assert "m<9>" in text and "m<10>" not in text
    assert text.endswith("and 15 more rows: summary() has them all\nOne thing.\nVerdict: PASS")
    html = found._repr_html_()
    assert "m&lt;19&gt;" in html and "m&lt;20&gt;" not in html and "One thing." in html and "Verdict: PASS" in html
    assert "color" not in html
    assert "color" in Finding(TABLE, (), ("R-hat 1.2",))._repr_html_()


def test_much_to_say_is_cut_with_a_word_of_where_the_rest_is():
    found = Finding(TABLE.head(1), tuple(f"Thing {i}." for i in range(9)), tuple(f"problem {i}" for i in range(5)))
    text = str(found)
    assert "Thing 5." in text and "Thing 6." not in text and "and 3 more: .sentences has them all" in text
    assert "problem 2" in text and "problem 3" not in text and "and 2 more: .problems has them all" in text


def test_a_table_is_read_with_intervals_in_one_column_and_few_digits():
    table = pd.DataFrame(
        {
            "who": ["a", "b"],
            "flops": [1.2345e24, np.nan],
            "q5": [0.123456, -0.0004],
            "q95": [0.2, 0.3],
            "verdict": "PASS",
        }
    )
    shown = readable(table)
    assert list(shown) == ["who", "flops", "90 %"]
    assert shown["flops"].tolist() == ["1.23e+24", ""]
    assert shown["90 %"].tolist() == ["0.123 to 0.200", "-0.000 to 0.300"]
    assert readable(pd.DataFrame({"n": [3.0, np.nan], "is": [True, False]})).to_numpy().tolist() == [
        ["3", "yes"],
        ["", "no"],
    ]


def test_its_verdict_is_that_of_the_sampler(found: Finding):
    assert found.verdict == "PASS"
    bad = Finding(TABLE, (), ("R-hat 1.2",))
    assert bad.verdict == "FAIL"
    assert "Problem: R-hat 1.2" in str(bad)


def test_it_can_be_written_as_json(found: Finding):
    answer = json.loads(json.dumps(found.to_dict()))
    assert list(answer) == ["verdict", "table", "sentences", "problems", "parts"]
    assert answer["table"][0] == {"model": "m<0>", "median": None}
    assert len(answer["parts"]["more"]) == 2


def test_its_table_is_saved_whole_or_refused_in_one_sentence(found: Finding, tmp_path: Path):
    path = found.save(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(path), TABLE, rtol=1e-14)
    with pytest.raises(InputError, match=r"^The table cannot be written to .*nowhere.*: give a file in a folder that"):
        found.save(tmp_path / "nowhere" / "table.csv")


def test_every_question_is_drawn_by_a_plot(found: Finding):
    for name in (*bo.ask.__all__, *bo.design.__all__):
        getattr(bo.ask if name in bo.ask.__all__ else bo.design, name)  # defines its answer
    kinds = [*Finding.__subclasses__(), bo.Diagnosis]
    assert len(kinds) > 10
    assert {kind.drawn_by for kind in kinds} <= set(bo.plots.__all__)
    with pytest.raises(NotImplementedError, match="Finding has no plot"):
        found.plot()
