"""Forecasts before the fact: what is forecast, how it is kept, what proves it, and how it is opened."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sparse_tables import HIDDEN, sparse_fit, sparse_table

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.evaluation.ahead import Predictions, quarter_of, quarters_from, today_utc
from bayes_obscaling.evaluation.ahead_record import read_record, read_records
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import Scenario

Run = Callable[..., tuple[int, str, str]]
KEPT = Path(__file__).parents[2] / "data" / "predictions"
PUBLISHED = {
    "2026-11-29": "b30a05e479a18f490bb2f66f00c9706b99203d4b921c94733e6db66face8e5db",
    "2026-11-30": "5782acae52d8a8e5966e7a4842261b7949d2bf84419138a8a2da54e63c2e024b",
}
KEYS = ["method", "family", "task", "effort", "quarter"]


@pytest.fixture(scope="module")
def fit() -> CapabilityFit:
    return sparse_fit(split=Split.all_seen())


@pytest.fixture(scope="module")
def predictions(fit: CapabilityFit) -> Predictions:
    return bo.evaluation.predict_ahead(fit, quarters=2, efforts=["low"])


@pytest.fixture(scope="module")
def folder(predictions: Predictions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predictions.save(tmp_path_factory.mktemp("ahead"))


def day_of(predictions: Predictions) -> str:
    return str(predictions.about["made"])[:10]


def later(day: str, days: int) -> str:
    return date_at(float(years_of(day)) + days / 365.25)


def grown(rows: list[dict[str, object]], others: list[dict[str, object]] | None = None) -> ScoreTable:
    """The table with models that came later: model, family, date, task, score, setting, evaluated."""
    table, frame = sparse_table(), pd.DataFrame(rows)
    models = frame.drop_duplicates("model")[["model", "family", "date"]].set_index("model")
    scores = frame.rename(columns={"task": "benchmark"}).drop(columns=["family", "date"])
    more = pd.DataFrame(others or []).rename(columns={"task": "benchmark"})
    return ScoreTable(
        pd.concat([table.models, models]).rename_axis("model"),
        table.benchmarks,
        pd.concat([table.scores, scores], ignore_index=True),
        other_settings=pd.concat([table.other_settings, more], ignore_index=True) if others else table.other_settings,
    )


# --- what is forecast -----------------------------------------------------------------------------------------------


def test_quarters_begin_today_and_are_asked_for_their_middle():
    found = quarters_from("2026-11-29", 3)
    assert [quarter.name for quarter in found] == ["2026Q4", "2027Q1", "2027Q2"]
    assert [quarter.date for quarter in found] == ["2026-12-16", "2027-02-15", "2027-05-16"]
    for today in ("2026-01-01", "2026-06-30", "2026-12-31"):
        for quarter in quarters_from(today, 9):
            assert quarter_of(quarter.date) == quarter.name and quarter.date > today
    assert quarters_from("2026-12-31", 1)[0].name == "2027Q1"


def test_every_line_is_asked_and_forecasts_are_those_of_the_fit(fit: CapabilityFit, predictions: Predictions):
    table = predictions.table
    ours = table[table["method"] == "bayes"]
    assert set(ours["family"]) == {*fit.table.families, "new"} and not table.duplicated(KEYS).any()
    assert set(ours["effort"]) == {"", "low"} and set(table.loc[table["method"] != "bayes", "effort"]) == {""}
    assert set(table["method"]) == {"bayes", "best-so-far", "latest-median", "date-logistic", "factor-date"}
    assert (ours["sd"] > 0).all() and (np.diff(table.loc[:, "q2.5":"q45"], axis=1) >= 0).all()
    quarter = predictions.about["quarters"][1]
    row = ours[(ours["family"] == "Birch") & (ours["effort"] == "low") & (ours["quarter"] == quarter["name"])].iloc[0]
    scenario = Scenario(family="Birch", date=quarter["date"], effort="low")
    same = bo.forecast(fit, scenario, tasks=row["task"]).to_dataframe().iloc[0]
    for column in ("mean", "median", "sd", "q2.5", "q5", "q25", "q75", "q95", "q97.5"):
        assert row[column] == pytest.approx(same[column], abs=1e-12)
    best = table[(table["method"] == "best-so-far") & (table["task"] == row["task"])]
    assert best["mean"].nunique() == 2 and best["q97.5"].max() >= fit.table.matrix([row["task"]]).max().item()


def test_forecasts_need_a_trend_and_all_scores(fit: CapabilityFit, made_fit: CapabilityFit):
    with pytest.raises(bo.InputError, match="no trend of compute"):
        bo.evaluation.predict_ahead(made_fit)
    with pytest.raises(bo.InputError, match="Scores were hidden"):
        bo.evaluation.predict_ahead(replace(fit, split=Split("hidden", HIDDEN, HIDDEN)))
    with pytest.raises(bo.InputError, match="0 quarters"):
        bo.evaluation.predict_ahead(fit, quarters=0)


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_record_is_read_back_and_never_written_over(predictions: Predictions, folder: Path):
    record = read_record(folder)
    assert folder.name == record.day == day_of(predictions)
    pd.testing.assert_frame_equal(record.table, predictions.table, atol=5.01e-5, check_dtype=False)
    np.testing.assert_allclose(record.draws, predictions.draws, atol=5.01e-4)
    assert record.about["verdict"] == predictions.verdict == "FAIL" and record.about["models"][0] == "Aster-0"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(bo.InputError, match="forecasts are never overwritten"):
        predictions.save(folder.parent)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["forecasts.csv", "draws.parquet", "about.json"])
def test_a_changed_file_is_found(name: str, folder: Path, tmp_path: Path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    place = tmp_path / name
    if name == "about.json":  # another day: only the published fingerprint tells
        about = json.loads(place.read_text())
        place.write_text(json.dumps({**about, "made": "2020-01-01T00:00:00+00:00"}))
        published = read_record(folder).fingerprint
        with pytest.raises(bo.InputError, match=rf"The fingerprint of 2020-01-01 is \w+, not {published}"):
            bo.evaluation.score_ahead(tmp_path, sparse_table(), fingerprint=published)
        place.write_text("{}")
        match = "about.json is not what was written"
    else:
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 1
        place.write_bytes(bytes(content))
        match = rf"{name} was changed since it was written"
    with pytest.raises(bo.InputError, match=match):
        bo.evaluation.score_ahead(tmp_path, sparse_table())
    place.unlink()
    with pytest.raises(bo.InputError, match=r"There are no forecasts|cannot be read"):
        bo.evaluation.score_ahead(tmp_path, sparse_table())


@pytest.mark.skipif(not KEPT.is_dir(), reason="the installed package has no predictions")
def test_the_predictions_of_this_repository_are_those_that_were_published():
    records = read_records(KEPT)
    assert [record.day for record in records] == sorted(path.name for path in KEPT.iterdir())
    assert {record.day: record.fingerprint for record in records} == PUBLISHED
    assert all(record.about["verdict"] == "PASS" for record in records)


# --- what is opened -------------------------------------------------------------------------------------------------


def test_scores_that_came_are_held_against_their_forecasts(predictions: Predictions, folder: Path):
    day = day_of(predictions)
    came = later(day, 1)
    first, second = (quarter["name"] for quarter in predictions.about["quarters"])
    quarter = quarter_of(came)
    assert quarter in (first, second)
    ours = predictions.table[(predictions.table["method"] == "bayes") & (predictions.table["quarter"] == quarter)]
    low = ours[(ours["effort"] == "low") & (ours["family"] == "Birch")].iloc[0]
    best = ours[(ours["effort"] == "") & (ours["family"] == "Birch") & (ours["task"] == low["task"])].iloc[0]
    common = set.intersection(*(set(rows["task"]) for _, rows in ours[ours["effort"] == ""].groupby("family")))
    task = sorted(common)[0]
    new = {"model": "Birch-9", "family": "Birch", "date": came, "setting": "high", "reasoning": 1.0, "evaluated": ""}
    rows = [
        {**new, "task": low["task"], "score": 0.9},
        {**new, "model": "Fern-1", "family": "Fern", "task": task, "score": 0.5},
        {**new, "model": "Aster-8", "family": "Aster", "task": task, "score": 0.5, "date": day},
        {**new, "model": "Aster-9", "family": "Aster", "task": task, "score": 0.5, "evaluated": day},
        {**new, "model": "Cedar-9", "family": "Cedar", "task": task, "score": 0.5, "date": ""},
        {**new, "model": "Dahlia-9", "family": "Dahlia", "task": task, "score": 0.5, "date": later(day, 700)},
    ]
    others = [{"model": "Birch-9", "task": low["task"], "setting": "low", "reasoning": 1.0, "score": 0.7}]
    found = bo.evaluation.score_ahead(folder.parent, grown(rows, others))
    cells = found.table
    mine = cells[cells["method"] == "bayes"].set_index(["model", "effort"])
    assert set(mine.index) == {("Birch-9", ""), ("Birch-9", "low"), ("Fern-1", "")}
    assert mine.at[("Fern-1", ""), "line"] == "new" and mine.at[("Fern-1", ""), "family"] == "Fern"
    for effort, row, score in (("", best, 0.9), ("low", low, 0.7)):
        cell = mine.loc[("Birch-9", effort)]
        assert cell["observed"] == score and cell["median"] == pytest.approx(row["median"], abs=1e-4)
        draws = read_record(folder).draws[row.name]
        assert cell["pit"] == pytest.approx((draws < score).mean() + (draws == score).mean() / 2)
        crps = np.abs(draws - score).mean() - np.abs(draws[:, None] - draws).sum() / 2 / len(draws) / (len(draws) - 1)
        assert cell["crps"] == pytest.approx(crps)
        for level, tail in ((50, 25), (80, 10), (90, 5)):
            assert cell[f"in_{level}"] == (cell[f"q{tail}"] <= score <= cell[f"q{100 - tail}"])
    baselines = cells[cells["method"] == "best-so-far"]
    assert set(baselines["model"]) == {"Birch-9", "Fern-1"} and set(baselines["effort"]) == {""}
    why = found.parts["left_aside"].set_index("model")["why"]
    assert why["Aster-8"] == f"released on {day} or before" and why["Aster-9"] == f"run on {day} or before"
    assert why["Cedar-9"] == "without a date of release" and "last quarter" in why["Dahlia-9"]
    assert not {"Aster-0", "Birch-0"} & set(why.index)  # known then: ignored
    assert ": 3 scores of 2 models on" in found.sentences[1] and found.verdict == "FAIL"  # draws that only scatter
    assert len(found.plot().get_yticklabels()) == 3
    assert set(found.parts["scores"]["method"]) == set(cells["method"])
    page = (Path(__file__).parents[2] / "docs" / "reference" / "columns.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([^`\n]+)`", page))
    for table in (predictions.table, cells, *found.parts.values()):
        assert set(table) <= described


def test_the_first_digits_of_a_fingerprint_stand_for_it(folder: Path):
    published = read_record(folder).fingerprint
    for given in (published, published[:8].upper()):
        with pytest.raises(bo.InputError, match="No score can be held"):
            bo.evaluation.score_ahead(folder, sparse_table(), fingerprint=given)
    for given in ("", published[:7], "not hex at all"):
        with pytest.raises(bo.InputError, match="is no fingerprint: give its first 8 digits or more"):
            bo.evaluation.score_ahead(folder, sparse_table(), fingerprint=given)
    with pytest.raises(bo.InputError, match="The fingerprint of"):
        bo.evaluation.score_ahead(folder, sparse_table(), fingerprint=published[1:])


def test_nothing_to_open_is_one_sentence(folder: Path):
    with pytest.raises(bo.InputError, match=r"No score can be held against the forecasts of .* known then"):
        bo.evaluation.score_ahead(folder, sparse_table())
    with pytest.raises(bo.InputError, match="no forecasts in the folder"):
        bo.evaluation.score_ahead(folder.parent.parent / "nowhere", sparse_table())


def test_a_benchmark_is_drawn_by_line(predictions: Predictions):
    task = predictions.table["task"].iloc[0]
    labels = [text.get_text() for text in predictions.plot(task=task).get_yticklabels()]
    assert len(labels) == 2 * len(predictions.about["lines"]) and any(text.startswith("new, ") for text in labels)
    with pytest.raises(bo.InputError, match="no forecast of 'juggling'"):
        predictions.plot(task="juggling")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quarters", "0"), "0 quarters cannot be asked for"),
        (("--effort", "hihg"), "--effort: 'hihg' is no setting"),
        (("--table", "base"), "no trend of compute"),
    ],
)
def test_what_cannot_be_predicted_is_refused_before_anything_is_fitted(
    options: tuple[str, ...], words: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "bayes_obscaling.cli.options.AnswerOptions.fitted", lambda *_: pytest.fail("a fit was asked for")
    )
    code, _, err = run("predict-ahead", "--output", tmp_path / "predictions", *options)
    assert code == 2 and words in err and not (tmp_path / "predictions").exists()
    (tmp_path / today_utc()).mkdir()
    code, _, err = run("predict-ahead", "--output", tmp_path)
    assert code == 2 and "forecasts are never overwritten" in err


def test_the_commands_write_and_open(fit: CapabilityFit, tmp_path: Path, run: Run):
    saved = fit.save(tmp_path / "fit.nc")
    where = tmp_path / "predictions"
    code, out, err = run("predict-ahead", "--fit", saved, "--output", where, "--quarters", "2", "--effort", "low")
    assert code == 0, err
    (day,) = where.iterdir()
    assert read_record(day).fingerprint in out and "NOT CONVERGED" in out
    assert {path.name for path in day.iterdir()} == {"about.json", "forecasts.csv", "draws.parquet"}
    code, _, err = run("predict-ahead", "--fit", saved, "--output", where)
    assert code == 2 and "There are forecasts of" in err
    code, _, err = run("score-ahead", where)
    assert code == 2 and "No score can be held against the forecasts" in err
    code, _, err = run("score-ahead", tmp_path / "none")
    assert code == 2 and "There is no folder" in err
    scores = tmp_path / "new.csv"
    date = later(day.name, 1)
    scores.write_text(f"model,family,date,benchmark,score\nBirch-9,Birch,{date},bench-0,0.9\n")
    code, out, err = run("score-ahead", where, "--scores", scores, "--output", tmp_path / "opened.csv")
    if quarter_of(date) == quarter_of(day.name):
        assert code == 0, err
        assert set(pd.read_csv(tmp_path / "opened.csv")["method"]) > {"bayes", "best-so-far"}
    else:  # today is the last day of a quarter
        assert code == 2 and "last quarter" in err
