"""Pages without a browser: what is in the file, that its numbers are those of the answer, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scored_cells import made_backtest, made_dated_study
from synthetic import HIDDEN

import bayes_obscaling as bo
from bayes_obscaling.data import load_olmo_ladder
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.pages import page, room
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.ladder_curves import link_curve
from bayes_obscaling.results.ladder_forecast import forecast_ladder

pytest.importorskip("altair")
Run = Callable[..., tuple[int, str, str]]


class Reader(HTMLParser):
    """Tables of a page, addresses that a browser would load, and texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.data = ""
        self._table, self._is_data = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.addresses += [found[name] for name in ("src", "href", "action", "poster", "srcset") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "table":
            self._table = found.get("id", "")
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append([])
        if tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        self._is_data = found.get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._table = "" if tag == "table" else self._table

    def handle_data(self, data: str) -> None:
        if self._is_data:
            self.data += data
        if self._table and self.tables[self._table] and self.tables[self._table][-1]:
            self.tables[self._table][-1][-1] += data.strip()


def facts_of(path: Path) -> dict[str, Any]:
    """What the scripts of a page read, tables as lists of dicts."""

    def table(found: dict[str, Any]) -> Any:
        if set(found) != {"keys", "rows"}:
            return found
        return [dict(zip(found["keys"], row, strict=True)) for row in found["rows"]]

    data = Reader(path.read_text(encoding="utf-8")).data
    return json.loads(data, object_hook=table)["facts"]  # type: ignore[no-any-return]


def unpacked(text: str) -> np.ndarray:
    return np.array([int(text[i : i + 2], 36) for i in range(0, len(text), 2)]) / 1000


@pytest.fixture(scope="module")
def written(made_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a synthetic fit of two tasks, of hidden models and one to come."""
    coming = bo.Scenario(family="family-1", flops=3e24)
    asked = [*bo.forecast(made_fit).draws["scenario"].to_numpy(), coming]
    return bo.report(made_fit, tmp_path_factory.mktemp("page") / "report.html", asked)


@pytest.fixture(scope="module")
def read(written: Path) -> Reader:
    return Reader(written.read_text(encoding="utf-8"))


def test_a_page_is_one_small_file_that_loads_nothing(written: Path, read: Reader) -> None:
    text = written.read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    assert read.addresses == []  # links to sources would not be loaded either; a made table has none
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text.split("</style>")[0]
    assert len(set(read.ids)) == len(read.ids)


def test_numbers_of_the_table_are_those_of_the_forecast(made_fit: CapabilityFit, read: Reader) -> None:
    coming = bo.Scenario(family="family-1", flops=3e24)
    answer = bo.forecast(made_fit, [*bo.forecast(made_fit).draws["scenario"].to_numpy(), coming])
    expected = answer.to_dataframe()
    head, *rows = read.tables["forecasts"]
    shown = pd.DataFrame(rows, columns=head)
    assert list(shown["model"]) == list(expected["model"]) and list(shown["task"]) == list(expected["task"])
    np.testing.assert_allclose(shown["median"].astype(float), expected["median"], atol=5.1e-4)
    for name, columns in {"50 %": ("q25", "q75"), "80 %": ("q10", "q90"), "90 %": ("q5", "q95")}.items():
        ends = shown[name].str.split(" to ", expand=True).astype(float)
        np.testing.assert_allclose(ends, expected[list(columns)], atol=5.1e-4)
    hidden = expected["observed"].notna() & ~expected["seen"]
    assert hidden.any()
    np.testing.assert_allclose(
        shown.loc[hidden, "observed"].astype(float), expected.loc[hidden, "observed"], atol=5.1e-4
    )
    best = made_fit.table.matrix(["task-0"])["task-0"][made_fit.posterior.seen["task-0"]].max()
    of_task = expected["task"] == "task-0"
    beats = answer.flat[:, of_task] > best
    for text, p in zip(shown.loc[of_task, "beats best"], beats.mean(axis=0), strict=True):
        assert text == page.percent(p)


def test_values_of_the_charts_are_those_of_the_forecast(made_fit: CapabilityFit, written: Path) -> None:
    facts = facts_of(written)
    row = next(row for row in facts["rows"] if row["model"].startswith("family-1 @"))
    answer = bo.forecast(made_fit, bo.Scenario(family="family-1", flops=3e24), tasks=row["task"])
    np.testing.assert_allclose(
        unpacked(row["quantiles"]), np.percentile(answer.flat[:, 0], np.arange(1, 100)), atol=5.1e-4
    )
    followed = facts["fans"][0]
    assert followed["who"] == "family-1"  # the family of the model to come is followed first
    assert "new" in [one["family"] for one in facts["fans"]]
    curve = bo.ask.compute_curve(made_fit, "task-0", "family-1").table
    fan = pd.DataFrame([point for point in followed["by_compute"] if point["task"] == "task-0"])
    at = np.interp(curve["compute"], np.log10(fan["flops"]), fan["median"])
    np.testing.assert_allclose(at, curve["median"], atol=0.02)
    seen = {point["model"]: point["seen"] for point in facts["points"] if point["task"] == "task-0"}
    assert seen[HIDDEN] == made_fit.posterior.seen.at[HIDDEN, "task-0"] and any(seen.values())
    assert followed["by_date"] == []  # the fit has no drift


def test_the_file_to_download_is_the_table(made_fit: CapabilityFit, tmp_path: Path) -> None:
    answer = bo.forecast(made_fit, HIDDEN)
    kept = pd.read_csv(io.StringIO(facts_of(bo.report(answer, tmp_path / "a.html"))["csv"]))
    expected = answer.to_dataframe()
    assert list(kept) == list(expected)
    texts = ["date", "dated_by"]  # empty in a fit without a drift, which a CSV does not tell from missing
    kept, expected = kept.drop(columns=texts), expected.drop(columns=texts)
    pd.testing.assert_frame_equal(kept, expected, check_dtype=False, rtol=1e-4)


def test_dates_are_followed_where_efficiency_drifts(dated_fit: CapabilityFit, tmp_path: Path) -> None:
    path = bo.report(dated_fit, tmp_path / "a.html", [bo.Scenario(family="new", flops=1e24, date="2025-06-01")])
    facts = facts_of(path)
    fan = [point for point in facts["fans"][0]["by_date"] if point["task"] == "task-0"]
    assert fan[-1]["date"] > max(dated_fit.table.models["date"]) and all(
        p["q5"] <= p["median"] <= p["q95"] for p in fan
    )


def test_what_there_is_no_room_for_is_left_out_and_said(
    dated_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_FORECASTS", 10)
    monkeypatch.setattr(room, "MOST_TASKS", 2)
    coming = bo.Scenario(family="new", flops=1e24, date="2025-06-01")
    names = [*dated_fit.layout.models, coming]
    latest = dated_fit.table.models["date"].sort_values(kind="stable").index[-4:]
    for answer, more in ((dated_fit, {"scenarios": names}), (bo.forecast(dated_fit, names), {})):
        path = bo.report(answer, tmp_path / "a.html", **more)
        facts = facts_of(path)
        assert len({row["task"] for row in facts["rows"]}) == 2 and len(facts["rows"]) == 10
        shown, dates = {row["model"] for row in facts["rows"]}, dated_fit.table.models["date"]
        assert {dates.get(name, coming.name) for name in shown} == {coming.name, *dates[latest]}
        said = path.read_text(encoding="utf-8")
        assert "1 benchmarks and tasks with fewer scores" in said and "20 models; kept are" in said
        assert len(facts["csv"].splitlines()) == 11


def test_single_models_are_those_of_the_fit(made_fit: CapabilityFit, written: Path) -> None:
    single = facts_of(written)["single"]
    assert {one["model"] for one in single["models"]} == set(made_fit.layout.models)
    table, names = made_fit.table, single["names"]
    one = next(one for one in single["models"] if one["model"] == HIDDEN)
    observed = table.matrix(names).loc[HIDDEN]
    assert {names[cell[0]]: cell[1] for cell in one["observed"]} == {
        name: round(1000 * score, 1) for name, score in observed.items()
    }
    for at, score, error, seen, _, source, _ in one["observed"]:
        n = table.n_items(names[at])
        assert error == round(1000 * np.sqrt(score / 1000 * (1 - score / 1000) / n), 1) and not seen
        assert single["sources"][source] == ["your table", ""]
    expected = bo.forecast(made_fit, HIDDEN, tasks=names).to_dataframe()
    quantiles = unpacked(one["quantiles"]).reshape(-1, 5)
    np.testing.assert_allclose(quantiles, expected[["q5", "q25", "median", "q75", "q95"]], atol=5.1e-4)
    theta = made_fit.posterior.measurement(made_fit.posterior.complete)["theta"]
    order = np.argsort([made_fit.layout.models.index(one["model"]) for one in single["models"]])
    middles = np.array([[q[2] for q in single["models"][i]["capabilities"]] for i in order])
    truth = np.median(theta, axis=0)
    np.testing.assert_allclose(middles, (truth - truth.mean(axis=0)) / truth.std(axis=0), atol=0.0051)
    marked = {(one["model"], names[cell[0]]) for one in single["models"] for cell in one["observed"] if cell[6]}
    flagged = bo.ask.anomalies(made_fit).table.query("kind == 'score' and flag != ''")
    assert marked == set(zip(flagged["model"], flagged["benchmark"], strict=True))


def test_method_holds_priors_sources_and_notes(made_fit: CapabilityFit, read: Reader) -> None:
    rows = pd.DataFrame(read.tables["priors"][1:], columns=read.tables["priors"][0]).set_index("prior")
    parts = bo.diagnose(made_fit).parts
    assert set(rows.index) == set(parts["priors"]["prior"])
    assert rows.at["slope_mean", "believed"] == "normal, loc 0.8, scale 0.2"
    moved = parts["sensitivity"].query("component == 'prior'").set_index("name")["sensitivity"]
    assert float(rows.at["slope_mean", "sensitivity"]) == round(moved["slope_mean"], 2)
    facts = pd.DataFrame(read.tables["benchmarks"][1:], columns=read.tables["benchmarks"][0]).set_index("name")
    assert int(facts.at["task-0", "seen"]) == made_fit.posterior.seen["task-0"].sum()


def test_the_ceiling_is_that_of_the_draws(made_fit: CapabilityFit, written: Path) -> None:
    task = facts_of(written)["tasks"][1]
    chance, gap = made_fit.table.chance("task-1"), made_fit.draws["task_ceiling_gap"].sel(task="task-1").to_numpy()
    assert chance > 0 and task["ceiling"] == pytest.approx(np.median(chance + (1 - chance) * (1 - gap)), abs=1e-3)


def test_a_study_by_dates_brings_its_record_and_its_forecasts(made_fit: CapabilityFit, tmp_path: Path) -> None:
    study = made_dated_study()
    cells = study.cells.replace({"task": {"alpha": "task-0", "beta": "other"}})
    answer = bo.forecast(made_fit, HIDDEN, tasks="task-0")
    path = bo.report(answer, tmp_path / "a.html", study=replace(study, cells=cells))
    read = Reader(path.read_text(encoding="utf-8"))
    facts = facts_of(path)
    ours = cells[(cells["method"] == "bayes") & (cells["task"] == "task-0")]
    assert [row["as_of"] for row in facts["as_of"]] == sorted(ours["as_of"])
    assert {row["task"] for row in facts["as_of"]} == {"task-0"}
    n = dict(zip(*np.array(read.tables["scores"][1:])[:, :2].T, strict=True))["bayes"]
    assert int(n) == (cells["method"] == "bayes").sum()


@pytest.mark.usefixtures("unsampled")
def test_a_ladder_has_its_page(tmp_path: Path, run: Run) -> None:
    fit = fit_ladder(load_olmo_ladder("ladder").below(1e9), chains=2, draws=100)
    path = bo.report(fit, tmp_path / "a.html")
    read, facts, expected = (
        Reader(path.read_text(encoding="utf-8")),
        facts_of(path),
        forecast_ladder(fit).to_dataframe(),
    )
    head, *rows = read.tables["targets"]
    shown = pd.DataFrame(rows, columns=head)
    assert list(shown["task"]) == list(expected["task"]) and "OLMo ladder" in path.read_text(encoding="utf-8")
    np.testing.assert_allclose(shown["median"].astype(float), expected["median"], atol=5.1e-4)
    link = link_curve(fit, "piqa").table
    curve = next(one for one in facts["curves"] if one["task"] == "piqa")
    np.testing.assert_allclose([point["median"] for point in curve["link"]], link["median"], rtol=1e-4)
    assert {one["run"] for one in curve["runs"]} == set(fit.ladder.runs.index)
    with pytest.raises(bo.InputError, match="shows all tasks"):
        bo.report(fit, path, tasks="piqa")
    saved = fit.save(tmp_path / "ladder.nc")
    code, out, _ = run("ladder", "--fit", saved, "--target", "N=7e9,D=4e12", "--report", tmp_path / "b.html")
    assert code == 0 and "b.html" in out.replace("\n", "")
    code, _, err = run("ladder", "--fit", saved, "--next-run", "--report", tmp_path / "b.html")
    assert code == 2 and "leave out --report" in err.replace("\n", " ")


def test_names_cannot_break_out_of_the_page(made_fit: CapabilityFit, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    path = bo.report(bo.forecast(made_fit, HIDDEN), tmp_path / "a.html", title=evil)
    text = path.read_text(encoding="utf-8")
    assert evil not in text and text.lower().count("<script") == text.lower().count("</script>") + text.count(
        "<\\/script"
    )


def test_a_backtest_has_its_record(tmp_path: Path) -> None:
    answer = made_backtest()
    read = Reader(bo.report(answer, tmp_path / "a.html").read_text(encoding="utf-8"))
    scores = answer.scores(("method",)).set_index("method")
    for method, n, mae, crps, *inside in read.tables["scores"][1:]:
        row = scores.loc[method]
        assert (int(n), float(mae), float(crps)) == (row["n"], round(row["mae"], 4), round(row["crps"], 4))
        assert [text.split()[0] for text in inside if text[:1] not in "<>"] == [
            f"{row[f'coverage_{level}']:.0%}"[:-1]
            for level, text in zip((50, 80, 90, 95), inside, strict=True)
            if text[:1] not in "<>"
        ]
    ours = answer.cells.query("method == 'bayes'")
    missed = ours[(ours["observed"] < ours["q5"]) | (ours["observed"] > ours["q95"])]
    assert sorted(row[0] for row in read.tables["misses"][1:]) == sorted(missed["model"])


def test_a_study_too_large_to_filter_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = tmp_path / "few.html", tmp_path / "many.html"
    cells = facts_of(bo.report(made_backtest(), few))["record"]["cells"]
    assert len(cells["rows"]) == len(made_backtest().cells)
    monkeypatch.setattr("bayes_obscaling.pages.record._MOST_CELLS", 10)
    facts = facts_of(bo.report(made_backtest(), many))
    assert facts["record"]["cells"] is None
    said = "Filters do not act here: the study has too many forecasts"
    assert said in many.read_text(encoding="utf-8") and said not in few.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    made_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.html"
    path.write_text("old")
    answer = bo.forecast(made_fit, HIDDEN)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(bo.InputError, match="No space"):
            bo.report(answer, path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_has_no_page_is_refused(made_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.html"
    for answer, more, message in (
        ("fit.nc", {}, "no page of a str"),
        (bo.forecast(made_fit, HIDDEN), {"tasks": "task-0"}, "Only a fit"),
        (made_fit, {"family": "nobody"}, "nobody"),
        (made_fit, {"tasks": "chess"}, "chess"),
        (made_backtest(), {"family": "new"}, "follows no family"),
        (made_backtest(), {"study": made_backtest()}, "is a study itself"),
        (made_fit, {"study": "study/"}, "str"),
    ):
        with pytest.raises(bo.InputError, match=message):
            bo.report(answer, path, **more)
    monkeypatch.setattr(page, "MOST_BYTES", 1000)
    with pytest.raises(bo.InputError, match="more than 2"):
        bo.report(bo.forecast(made_fit, HIDDEN), path)
    assert not path.exists()


def test_without_its_libraries_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(page, "_NEEDED", ("altair", "no_such_library"))
    code, _, err = run("report", tmp_path / "fit.nc", "--output", tmp_path / "a.html")
    assert code == 2 and "needs no-such-library, which is not installed" in err and "bayes_obscaling[report]" in err


def test_commands_that_forecast_and_judge_write_pages(made_fit: CapabilityFit, tmp_path: Path, run: Run) -> None:
    fit, page_file = made_fit.save(tmp_path / "fit.nc"), tmp_path / "a.html"
    code, out, _ = run("forecast", "--fit", fit, "--models", HIDDEN, "--report", page_file)
    assert code == 0 and f"Wrote {page_file}" in out.replace("\n", "")
    assert len(Reader(page_file.read_text(encoding="utf-8")).tables["forecasts"]) == 1 + len(made_fit.tasks)
    for command in (("forecast", "--task", "MMLU"), ("backtest", "--task", "MMLU", "--best", "0.5")):
        code, _, err = run(*command, "--report", tmp_path / "a.txt")
        assert code == 2 and ".html" in err


def test_the_command_writes_a_page(made_fit: CapabilityFit, tmp_path: Path, run: Run) -> None:
    fit = made_fit.save(tmp_path / "fit.nc")
    output = tmp_path / "report.html"
    code, out, _ = run(
        "report", fit, "-o", output, "--task", "task-1", "--models", HIDDEN, "--family", "new", "--flops", "1e24"
    )
    assert code == 0 and "Wrote" in out
    read = Reader(output.read_text(encoding="utf-8"))
    assert [row[0] for row in read.tables["forecasts"][1:]] == [HIDDEN, "new @ 1e+24 FLOPs"]
    made_backtest().save(tmp_path / "judged")
    code, *_ = run("report", fit, "-o", output, "--models", HIDDEN, "--study", tmp_path / "judged")
    assert code == 0 and "misses" in Reader(output.read_text(encoding="utf-8")).tables
    for arguments, message in (
        (("-o", tmp_path / "a.pdf"), ".html"),
        (("-o", tmp_path / "absent" / "a.html"), "absent"),
        (("-o", output, "--family", "new"), "needs its compute"),
        (("-o", output, "--models", "nobody"), "nobody"),
        (("-o", fit), "both"),
        (("-o", output, "--study", tmp_path), "no scored forecasts"),
    ):
        code, _, err = run("report", fit, *arguments)
        assert code == 2 and message in err.replace("\n", " "), (arguments, err)
