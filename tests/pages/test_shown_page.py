"""The page that the documentation shows is of the fit that ships, and is made by the command that is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import xarray as xr

from bayes_obscaling.results.storage import _GROUP

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "frontier.html"
REMEDY = "make it anew: make page"


def test_the_page_is_of_the_fit_that_ships():
    text = PAGE.read_text(encoding="utf-8")
    shipped = json.loads((ROOT / "data" / "fits" / "index.json").read_text())["frontier"]
    with xr.open_dataset(ROOT / "data" / "fits" / "frontier.nc", group=_GROUP, engine="h5netcdf") as saved:
        made = json.loads(str(saved["record"].item()))["provenance"]
    assert shipped["table"] in text and made["data_hash"] == shipped["table"], REMEDY
    assert f"created: {made['created']}" in text, REMEDY
    assert f"bayes_obscaling {shipped['version']}." in text, REMEDY
    assert PAGE.stat().st_size < 2_000_000


def test_the_page_has_the_parts_that_pages_have_now():
    text = PAGE.read_text(encoding="utf-8")
    for script in ("page", "cells", "forecast"):
        source = (ROOT / "bayes_obscaling" / "pages" / "templates" / f"{script}.js").read_text(encoding="utf-8")
        assert source in text, REMEDY
    assert (ROOT / "bayes_obscaling" / "pages" / "templates" / "page.css").read_text(encoding="utf-8") in text, REMEDY


def test_its_command_is_the_one_that_the_documentation_says():
    def command(path: str) -> str:
        found = re.search(r"bayes-obscaling (report frontier .*)", (ROOT / path).read_text(encoding="utf-8"))
        assert found
        return re.sub(r"--output \S+", "", found[1])

    said = command("docs/howto/report.md")
    assert said == command("Makefile")
    tasks = re.search(r"--task (\S+)", said)
    title = re.search(r'--title "([^"]+)"', said)
    assert tasks and title
    text = PAGE.read_text(encoding="utf-8")
    assert f"<title>{title[1]}</title>" in text
    assert all(f"<option>{task}</option>" in text for task in tasks[1].split(","))
