from __future__ import annotations

import numpy as np
import pytest

from bayes_obscaling.data.dates import cut_date, date_at, iso_date, months_between, years_of
from bayes_obscaling.errors import InputError


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-04-18", "2024-04-18"),
        (" 2024/4/18 ", "2024-04-18"),
        ("20240418", "2024-04-18"),
        ("18 April 2024", "2024-04-18"),
        ("Apr 18, 2024", "2024-04-18"),
        ("April 18th, 2024", "2024-04-18"),
        ("18.04.2024", "2024-04-18"),
        ("4/18/2024", "2024-04-18"),
        ("18/4/2024", "2024-04-18"),
        ("5/5/2024", "2024-05-05"),
        ("2024-04-18T12:30:00Z", "2024-04-18"),
        ("2024-04-18 00:00:00", "2024-04-18"),
        ("2024-04", "2024-04-01"),
        ("Apr 2024", "2024-04-01"),
        ("2024", "2024-07-01"),
        ("", ""),
    ],
)
def test_common_ways_to_write_a_date(text: str, date: str):
    assert iso_date(text) == date


@pytest.mark.parametrize(
    "text", ["spring", "2024-13-01", "31 February 2024", "4/5/2024", "1824-01-01", "12", "2024-4-18-1"]
)
def test_what_is_no_date_or_two_is_refused(text: str):
    with pytest.raises(InputError, match=r"date.*2024-0") as caught:
        iso_date(text, "mine.csv, row 3, column 'date'")
    assert str(caught.value).startswith("mine.csv, row 3") and text in str(caught.value)


def test_years_count_from_the_middle_of_2023():
    years = years_of(np.array([["2023-07-02", "2024-07-01"], ["", "2021-07-01"]]))
    np.testing.assert_allclose(years[0], [0.0, 1.0], atol=0.004)
    assert np.isnan(years[1, 0]) and years[1, 1] == pytest.approx(-2.0, abs=0.004)
    for date in ("2021-12-31", "2024-02-29", "2025-01-01"):
        assert date_at(float(years_of(date))) == date


def test_months_between_dates():
    months = months_between("2023-07-01", ["2023-07-01", "2024-01-01", "2023-06-01", ""])
    np.testing.assert_allclose(months[:3], [0.0, 6.0, -1.0], atol=0.05)
    assert np.isnan(months[3]) and np.isnan(months_between("", "2024-01-01"))


def test_an_empty_date_cuts_nowhere():
    assert cut_date("March 2024") == "2024-03-01"
    with pytest.raises(InputError, match=r"^--as-of: The date is empty; write it as"):
        cut_date(" ", "--as-of")


@pytest.mark.parametrize(
    ("text", "sentence"), [("1900-01", "the date '1900-01' is before 2000"), ("2101", "the date '2101' is after 2099")]
)
def test_a_date_of_another_century_is_one(text: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        iso_date(text)
