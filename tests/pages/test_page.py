"""Pages without a browser: what is in the file, that its numbers are those of the answer, and what is refused."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scored_cells import made_backtest
from synthetic import HIDDEN

import bayes_obscaling as bo
from bayes_obscaling.pages import page
from bayes_obscaling.results.fit import CapabilityFit

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
    assert {address.partition(":")[0] for address in read.addresses} == {"data"}
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


def test_values_of_the_charts_are_those_of_the_forecast(made_fit: CapabilityFit, read: Reader) -> None:
    facts = json.loads(read.data)["facts"]
    row = next(row for row in facts["rows"] if row["model"].startswith("family-1 @"))
    answer = bo.forecast(made_fit, bo.Scenario(family="family-1", flops=3e24), tasks=row["task"])
    np.testing.assert_allclose(
        np.array(row["quantiles"]) / 1000, np.percentile(answer.flat[:, 0], np.arange(1, 100)), atol=5.1e-4
    )
    assert facts["who"] == "family-1"  # the family of the model to come is followed
    curve = bo.ask.compute_curve(made_fit, "task-0", "family-1").table
    fan = pd.DataFrame([point for point in facts["by_compute"] if point["task"] == "task-0"])
    at = np.interp(curve["compute"], np.log10(fan["flops"]), fan["median"])
    np.testing.assert_allclose(at, curve["median"], atol=0.02)
    seen = {point["model"]: point["seen"] for point in facts["points"] if point["task"] == "task-0"}
    assert seen[HIDDEN] == made_fit.posterior.seen.at[HIDDEN, "task-0"] and any(seen.values())
    assert facts["by_date"] == []  # the fit has no drift


def test_the_file_to_download_is_the_table(made_fit: CapabilityFit, tmp_path: Path) -> None:
    answer = bo.forecast(made_fit, HIDDEN)
    read = Reader(bo.report(answer, tmp_path / "a.html").read_text(encoding="utf-8"))
    (address,) = [one for one in read.addresses if one.startswith("data:text/csv")]
    file = io.BytesIO(base64.b64decode(address.partition("base64,")[2]))
    kept = pd.read_csv(file, converters={"date": str, "dated_by": str})  # empty in a fit without a drift
    pd.testing.assert_frame_equal(kept, answer.to_dataframe(), check_dtype=False, rtol=1e-5)


def test_dates_are_followed_where_efficiency_drifts(dated_fit: CapabilityFit, tmp_path: Path) -> None:
    path = bo.report(dated_fit, tmp_path / "a.html", [bo.Scenario(family="new", flops=1e24, date="2025-06-01")])
    facts = json.loads(Reader(path.read_text(encoding="utf-8")).data)["facts"]
    fan = [point for point in facts["by_date"] if point["task"] == "task-0"]
    assert fan[-1]["date"] > max(dated_fit.table.models["date"]) and all(
        p["q5"] <= p["median"] <= p["q95"] for p in fan
    )


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
    ):
        with pytest.raises(bo.InputError, match=message):
            bo.report(answer, path, **more)
    monkeypatch.setattr(page, "MOST_FORECASTS", 3)
    with pytest.raises(bo.InputError, match=r"room for 3 forecasts.*name fewer"):
        bo.report(made_fit, path)
    monkeypatch.undo()
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


def test_the_command_writes_a_page(made_fit: CapabilityFit, tmp_path: Path, run: Run) -> None:
    fit = made_fit.save(tmp_path / "fit.nc")
    output = tmp_path / "report.html"
    code, out, _ = run(
        "report", fit, "-o", output, "--task", "task-1", "--models", HIDDEN, "--family", "new", "--flops", "1e24"
    )
    assert code == 0 and "Wrote" in out
    read = Reader(output.read_text(encoding="utf-8"))
    assert [row[0] for row in read.tables["forecasts"][1:]] == [HIDDEN, "new @ 1e+24 FLOPs"]
    for arguments, message in (
        (("-o", tmp_path / "a.pdf"), ".html"),
        (("-o", tmp_path / "absent" / "a.html"), "absent"),
        (("-o", output, "--family", "new"), "FLOPs"),
        (("-o", output, "--models", "nobody"), "nobody"),
        (("-o", fit), "both"),
    ):
        code, _, err = run("report", fit, *arguments)
        assert code == 2 and message in err.replace("\n", " "), (arguments, err)
