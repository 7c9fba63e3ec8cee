"""Release dates: common ways to write one, and years since a fixed time, which is how models read them."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import numpy as np

from bayes_obscaling.errors import InputError

# Release dates enter models as years since this, near the middle of the public models.
DATE_CENTRE = 2023.5
_WITH_DAY = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y", "%d.%m.%Y")
_MONTHS = ("%Y-%m", "%Y/%m", "%B %Y", "%b %Y", "%Y %B", "%Y %b", "%m.%Y")
_SLASHES = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")
# A clock that is behind the runs of the bundled tables is wrong.
_LATEST_RUN = "2026-08-30"
_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 1, 1)


def iso_date(text: str, where: str = "") -> str:
    """Return a date as ``YYYY-MM-DD``; of a month its first day, of a year its first of July; "" for no text.

    Parameters
    ----------
    text : str
        ``2024-04-18``, ``2024/04``, ``18 April 2024``, ``Apr 18, 2024``, ``4/18/2024``, ``2024`` and the like; a time
        of day behind it is dropped.
    where : str
        Place of the text, for the error.

    Raises
    ------
    InputError
        For a text that is no date of this century, or that may be one of two (``4/5/2024``).
    """
    cleaned = re.sub(r"[T ]\d{1,2}:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?$", "", text.strip())
    cleaned = " ".join(re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", cleaned.replace(",", " ")).split())
    if not cleaned:
        return ""
    found = _parsed(cleaned)
    if found is None and (match := _SLASHES.fullmatch(cleaned)):
        first, second, year = map(int, match.groups())
        if first <= 12 and second <= 12 and first != second:
            raise InputError(f"{text!r} may be two dates", f"write {year}-{first:02d}-{second:02d} or the other", where)
        day, month = (first, second) if first > 12 else (second, first)
        found = _parsed(f"{year}-{month}-{day}")
    if found is not None and not _EARLIEST <= found < _LATEST:
        beyond = f"before {_EARLIEST.year}" if found < _EARLIEST else f"after {_LATEST.year - 1}"
        raise InputError(f"the date {text!r} is {beyond}", "correct it, such as 2024-01-31 or 2024-01", where)
    if found is None:
        raise InputError(f"{text!r} is no date", "write it as 2024-01-31 or 2024-01", where)
    return found.isoformat()


def is_year(text: str) -> bool:
    """Whether a date says no more than its year."""
    return re.fullmatch(r"\d{4}", text.strip()) is not None


def run_date(text: str, where: str = "") -> str:
    """Return the date of a run as `iso_date` does, but refuse one that has not come yet."""
    day = iso_date(text, where)
    if day > max(date.today().isoformat(), _LATEST_RUN):
        raise InputError(f"{day} is after today, but the score was made by then", "correct the date", where)
    return day


def cut_date(text: str, where: str = "") -> str:
    """Return a date at which scores are cut, as `iso_date` does, but refuse an empty one."""
    if not (date := iso_date(text, where)):
        raise InputError("The date is empty", "write it as 2024-01-31 or 2024-01", where)
    return date


def _parsed(text: str) -> date | None:
    if is_year(text):
        return date(int(text), 7, 1)
    for pattern in (*_WITH_DAY, *_MONTHS):
        try:
            return datetime.strptime(text, pattern).date()
        except ValueError:
            continue
    return None


def years_of(dates: Any) -> np.ndarray:
    """Years since `DATE_CENTRE` of dates written as ``YYYY-MM-DD``, any shape; NaN where there is none ("")."""
    days = np.array([text or "NaT" for text in np.ravel(dates).astype(str)], dtype="datetime64[D]")
    years = (days - np.datetime64("1970-01-01")) / np.timedelta64(1, "D") / 365.25 + 1970.0
    return np.asarray(years.reshape(np.shape(dates)) - DATE_CENTRE)


def months_between(earlier: Any, later: Any) -> np.ndarray:
    """Months from one date to another, both ``YYYY-MM-DD``, any shape; NaN where one of them is not known ("")."""
    return 12 * (years_of(later) - years_of(earlier))


def date_at(years: float) -> str:
    """Date, ``YYYY-MM-DD``, of a number of years since `DATE_CENTRE`; the inverse of `years_of`."""
    days = round((years + DATE_CENTRE - 1970.0) * 365.25)
    return str(np.datetime64("1970-01-01") + np.timedelta64(days, "D"))
