"""Pages in headless Chromium: nothing is loaded, nothing fails, and what can be moved moves the numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scored_cells import AS_OF, MODELS, made_backtest, made_dated_study

import bayes_obscaling as bo
from bayes_obscaling.data import load_olmo_ladder
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.results.fans import NEW, fans
from bayes_obscaling.results.fit import CapabilityFit

pytest.importorskip("altair")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(dated_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = [*dated_fit.layout.models[:6], bo.Scenario(family="new", flops=1e24, date="2025-06-01")]
    return bo.report(dated_fit, tmp_path_factory.mktemp("page") / "report.html", asked, tasks=["task-0", "bench-0"])


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page that keeps what it asked for and what it complained of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.told, page.asked = [], []
    page.on("console", lambda message: page.told.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    context.close()


def open_file(tab: Any, file: Path, hash: str = "") -> None:
    tab.goto(f"file://{file}{hash}")
    tab.wait_for_selector("html[data-ready]", timeout=20_000)


def probabilities(tab: Any) -> dict[str, str]:
    rows = tab.locator("#reaching tbody tr")
    return dict(row.split("\t")[:2] for row in rows.all_inner_texts())


def percent(text: str) -> float:
    return {"<1 %": 0.0, ">99 %": 1.0}.get(text) if text[0] in "<>" else float(text.split()[0]) / 100  # type: ignore[return-value]


def test_nothing_leaves_and_nothing_fails(tab: Any, file: Path) -> None:
    open_file(tab, file)
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
    assert tab.told == []
    assert tab.locator(".chart svg").count() == 5


def test_the_slider_moves_probabilities_as_the_draws_say(tab: Any, file: Path, dated_fit: CapabilityFit) -> None:
    open_file(tab, file)
    names = [*dated_fit.layout.models[:6], bo.Scenario(family="new", flops=1e24, date="2025-06-01")]
    answer = bo.forecast(dated_fit, names, tasks="task-0")
    before = probabilities(tab)
    seen = set()
    for s in (0.25, 0.5, 0.8):
        tab.locator("#s").fill(str(s))
        assert tab.locator("#s-value").inner_text() == f"{s:.2f}"
        shown = probabilities(tab)
        expected = answer.probability(s).set_index("model")["probability"]
        assert set(shown) == set(expected.index)
        for model, text in shown.items():
            assert abs(percent(text) - expected[model]) < 0.021, (s, model)
        seen.add(tuple(shown.values()))
    assert len(seen) == 3 and before != shown
    # the same from the keyboard, and kept in the address
    tab.locator("#s").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#s-value").inner_text() == "0.81" and "s=0.81" in tab.url
    assert np.isfinite([percent(text) for text in probabilities(tab).values()]).all()


def test_what_is_shown_is_in_the_address(tab: Any, file: Path) -> None:
    open_file(tab, file, "#task=bench-0&family=new&s=0.3")
    assert tab.locator("#task").input_value() == "bench-0" and tab.locator("#s-value").inner_text() == "0.30"
    assert tab.locator("#forecasts tbody tr:not([hidden])").count() == 1
    tab.locator("#family").select_option("")
    assert tab.locator("#forecasts tbody tr:not([hidden])").count() == 7 and "task=bench-0" in tab.url
    tab.wait_for_function("document.querySelectorAll('#intervals .mark-symbol').length > 0")
    assert tab.told == []


def test_tabs_and_tables_work_by_keyboard(tab: Any, file: Path) -> None:
    open_file(tab, file)
    assert tab.locator("#panel-compute").is_visible() and not tab.locator("#panel-date").is_visible()
    tab.locator("#tab-compute").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#panel-date").is_visible() and not tab.locator("#panel-compute").is_visible()
    assert tab.evaluate("document.activeElement.id") == "tab-date"
    box = tab.locator("#by-date svg").bounding_box()
    assert box and box["width"] > 600  # it has found its width
    tab.keyboard.press("Tab")  # from the tab to its panel
    assert tab.evaluate("document.activeElement.id") == "panel-date"
    button = tab.locator("#forecasts th button", has_text="median")
    button.focus()
    tab.keyboard.press("Enter")
    medians = [
        float(text) for text in tab.locator("#forecasts tbody tr:not([hidden]) td:nth-child(2)").all_inner_texts()
    ]
    assert medians == sorted(medians)  # they were sorted the other way
    assert tab.locator("#forecasts th", has_text="median").get_attribute("aria-sort") == "ascending"
    assert "up=true" in tab.url and tab.locator("#up").is_checked()
    first = tab.locator("#forecasts tbody tr:not([hidden]) td:first-child").first.inner_text()
    highest = """name => [...document.querySelectorAll('#intervals .role-axis-label text')]
        .filter(one => one.textContent.startsWith('family-'))
        .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0].textContent === name"""
    tab.wait_for_function(highest, arg=first)


def test_filters_act_everywhere_and_stay_in_the_address(tab: Any, file: Path, dated_fit: CapabilityFit) -> None:
    date = dated_fit.table.models["date"].iloc[:6].sort_values().iloc[3]
    open_file(tab, file, f"#from={date}")
    late = [name for name in dated_fit.layout.models[:6] if dated_fit.table.models.at[name, "date"] >= date]
    shown = tab.locator("#forecasts tbody tr:not([hidden]) td:first-child").all_inner_texts()
    assert set(shown) == {*late, "new @ 1e+24 FLOPs, 2025-06-01"} == set(probabilities(tab))
    assert tab.locator("#count").inner_text() == f"{len(late) + 1} of 7 forecasts"
    dots = tab.evaluate("document.querySelectorAll('#by-compute .mark-symbol path').length")
    tab.locator("#reset").click()
    assert "from=" not in tab.url and tab.locator("#forecasts tbody tr:not([hidden])").count() == 7
    tab.wait_for_function("n => document.querySelectorAll('#by-compute .mark-symbol path').length > n", arg=dots)
    options = tab.locator("#model option:not([disabled])").count()
    tab.locator("#family").select_option("family-0")
    assert tab.locator("#model option:not([disabled])").count() < options and "family=family-0" in tab.url
    assert set(tab.locator("#forecasts tbody tr:not([hidden]) td:nth-last-child(3)").all_inner_texts()) == {"family-0"}


def test_a_fan_ends_where_the_reader_says(tab: Any, file: Path) -> None:
    open_file(tab, file)
    far = tab.locator("#reading-compute").inner_text()
    tab.locator("#until-compute").fill("10")
    near = tab.locator("#reading-compute").inner_text()
    assert tab.locator("#place-compute").inner_text() in near and near != far and "until-compute=10" in tab.url
    tab.locator("#follow").select_option("family-1")
    assert "new model of family-1" in tab.locator("#reading-compute").inner_text() and tab.told == []


def test_files_are_made_in_the_page(tab: Any, file: Path, tmp_path: Path) -> None:
    open_file(tab, file, "#family=family-0")
    sizes = {}
    for button in ("csv", "csv-shown"):
        with tab.expect_download() as waiting:
            tab.locator(f"#{button}").click()
        waiting.value.save_as(tmp_path / "a.csv")
        sizes[button] = pd.read_csv(tmp_path / "a.csv")
    assert len(sizes["csv"]) == 14 and set(sizes["csv-shown"]["family"]) == {"family-0"}
    assert [url for url in tab.asked if not url.startswith(("file:", "data:", "blob:"))] == [] and tab.told == []


def test_what_was_forecast_as_of_a_date(tab: Any, made_fit: CapabilityFit, tmp_path: Path) -> None:
    study = made_dated_study()
    names = dict(zip(MODELS, made_fit.layout.models, strict=False))
    cells = study.cells.replace({"task": {"alpha": "task-0"}, "model": names})
    path = bo.report(made_fit, tmp_path / "a.html", tasks="task-0", study=replace(study, cells=cells))
    open_file(tab, path)
    line = "document.querySelectorAll('#by-compute .mark-line path').length"
    assert tab.evaluate(line) == 1
    tab.locator("#asof").select_option(AS_OF[0])
    tab.wait_for_function(f"{line} === 0")  # there is no fan of that day
    assert f"as of {AS_OF[0]}" in tab.locator("#caption-compute").inner_text()
    assert not tab.locator("#until-compute").is_visible()
    assert tab.locator("#coverage svg").count() == 1 and tab.told == []


def with_fans(fit: CapabilityFit, study: bo.CutoffStudy) -> bo.CutoffStudy:
    """A study that has kept fans: those of a fit, shifted by date so that they are told apart."""
    kept = fans(fit, ["task-0"], "new")
    shifted = [
        kept.assign(as_of=day, spec="default", median=0.1 + 0.2 * i, **{name: 0.1 + 0.2 * i for name in NEW})
        for i, day in enumerate(AS_OF[:2])
    ]
    return replace(study, fans=pd.concat(shifted, ignore_index=True))


def test_the_fan_as_of_a_date(tab: Any, made_fit: CapabilityFit, tmp_path: Path) -> None:
    study = made_dated_study()
    names = dict(zip(MODELS, made_fit.layout.models, strict=False))
    cells = study.cells.replace({"task": {"alpha": "task-0"}, "model": names})
    study = with_fans(made_fit, replace(study, cells=cells))
    bo.CutoffStudy.save(study, tmp_path / "study")
    read = Backtest.read(tmp_path / "study")  # what the command reads
    open_file(tab, bo.report(made_fit, tmp_path / "a.html", tasks="task-0", study=read))
    now = tab.locator("#reading-compute").inner_text()
    for i, day in enumerate(AS_OF[:2]):
        tab.locator("#asof").select_option(day)
        reading = tab.locator("#reading-compute").inner_text()
        assert reading != now and reading.startswith(f"As of {day}: at")
        assert f"median {0.1 + 0.2 * i:.3f}" in reading
        assert "as expected then" in tab.locator("#caption-compute").inner_text()
        assert f"a family never seen as of {day}" in tab.locator("figcaption", has_text="by training").inner_text()
    assert tab.evaluate("document.querySelectorAll('#by-compute .mark-line path').length") == 1
    # a family, and a day, of which nothing was kept
    tab.locator("#follow").select_option("family-1")
    assert "Of that day there is no band of this family" in tab.locator("#caption-compute").inner_text()
    tab.locator("#asof").select_option(AS_OF[2])
    assert tab.locator("#reading-compute").inner_text() == ""
    assert f"asof={AS_OF[2]}" in tab.url and tab.told == []


def scores_shown(tab: Any) -> dict[str, list[str]]:
    return {row.split("\t")[0]: row.split("\t")[1:] for row in tab.locator("#scores tbody tr").all_inner_texts()}


def check_record(tab: Any, left: pd.DataFrame) -> None:
    """The record that is shown is that of some cells."""
    ours, shown = left[left["method"] == "bayes"], scores_shown(tab)
    expected = Backtest(left).scores(("method",)).set_index("method")
    assert set(shown) == set(expected.index)
    for method, row in expected.iterrows():
        n, mae, crps, *inside = shown[method]
        assert int(n) == row["n"]
        assert float(mae) == pytest.approx(row["mae"], abs=1.1e-4)
        assert float(crps) == pytest.approx(row["crps"], abs=1.1e-4)
        for level, text in zip((50, 80, 90, 95), inside, strict=True):
            share = row[f"coverage_{level}"]
            assert text == "" if np.isnan(share) else abs(percent(text) - share) < 0.011
    missed = ours[(ours["observed"] < ours["q5"]) | (ours["observed"] > ours["q95"])]
    assert sorted(tab.locator("#misses tbody tr td:first-child").all_inner_texts()) == sorted(missed["model"])[:40]
    assert f"{len(ours)} of " in tab.locator("#record-count").inner_text()


def test_filters_act_on_the_record_of_a_study(tab: Any, dated_fit: CapabilityFit, tmp_path: Path) -> None:
    cells = made_backtest().cells
    facts = dated_fit.table.models
    names = dict(zip(MODELS, facts.index, strict=False))
    cells = cells.assign(model=cells["model"].map(names), task=cells["task"].replace("one", "task-0"))
    cells = cells.assign(family=cells["model"].map(facts["family"]), date=cells["model"].map(facts["date"]))
    path = bo.report(dated_fit, tmp_path / "a.html", tasks="task-0", study=Backtest(cells))
    open_file(tab, path)
    whole = tab.locator("#scores").inner_text()
    check_record(tab, cells)
    assert not tab.locator("#record-rest").is_visible()
    bars = "[...document.querySelectorAll('#pit .mark-rect path')].length"
    tab.locator("#family").select_option("family-1")
    check_record(tab, cells[cells["family"] == "family-1"])
    assert tab.locator("#record-rest").is_visible()  # what is not worked out again is said
    tab.wait_for_function(f"{bars} > 0 && {bars} <= 8")
    tab.locator("#record-of").select_option("chosen")
    check_record(tab, cells[(cells["family"] == "family-1") & (cells["task"] == "task-0")])
    assert "record-of=chosen" in tab.url
    open_file(tab, path, f"#from={facts['date'].sort_values().iloc[8]}")
    check_record(tab, cells[cells["date"] >= facts["date"].sort_values().iloc[8]])
    tab.locator("#reset").click()
    assert tab.locator("#scores").inner_text() == whole and tab.told == []


def test_filters_of_a_backtest(tab: Any, tmp_path: Path) -> None:
    answer = made_backtest()
    open_file(tab, bo.report(answer, tmp_path / "a.html"), "#of=one&family=b")
    check_record(tab, answer.cells.query("task == 'one' and family == 'b'"))
    tab.locator("#reset").focus()
    tab.keyboard.press("Enter")
    check_record(tab, answer.cells)
    assert "#" not in tab.url and tab.told == []
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []


def test_one_model_shows_every_score_of_it(tab: Any, file: Path, dated_fit: CapabilityFit) -> None:
    open_file(tab, file)
    model = dated_fit.layout.models[2]
    tab.locator("#model").select_option(label=model)
    rows = [row.split("\t") for row in tab.locator("#cells tbody tr").all_inner_texts()]
    observed = dated_fit.table.matrix(dated_fit.posterior.names).loc[model]
    shown = {row[0]: float(row[1]) for row in rows}
    assert shown == pytest.approx(observed.to_dict(), abs=0.00055)  # a browser rounds a half as it likes
    assert tab.locator("#capabilities tbody tr").count() == 2 and "FLOPs" in tab.locator("#model-compute").inner_text()
    tab.locator("#cellset").select_option("forecast")
    assert tab.locator("#cells tbody tr").count() == 0  # every score of this table is observed


def test_it_prints_and_fits_a_phone(tab: Any, file: Path) -> None:
    open_file(tab, file)
    tab.emulate_media(media="print")
    assert tab.locator("#panel-date").is_visible() and not tab.locator(".bar").is_visible()
    assert len(tab.pdf()) > 20_000
    tab.emulate_media(media="screen", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_backtest_in_the_browser(tab: Any, tmp_path: Path) -> None:
    open_file(tab, bo.report(made_backtest(), tmp_path / "a.html"))
    assert tab.told == [] and tab.locator(".chart svg").count() == 3


@pytest.mark.usefixtures("unsampled")
def test_a_ladder_in_the_browser(tab: Any, tmp_path: Path) -> None:
    fit = fit_ladder(load_olmo_ladder("ladder").below(1e9), chains=2, draws=100)
    open_file(tab, bo.report(fit, tmp_path / "a.html"), "#task=piqa&quantity=loss")
    assert tab.locator("#task").input_value() == "piqa" and tab.locator(".chart svg").count() == 3
    assert tab.locator("#targets tbody tr:not([hidden])").count() == 3 * len(fit.ladder.tasks)
    tab.locator("#s").fill("0.99")
    assert tab.locator("#s-value").inner_text() == "0.99" and "s=0.99" in tab.url
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400 and tab.told == []
