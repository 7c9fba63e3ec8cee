"""Forecasts before the fact as files: a folder per day, whose files cannot be changed without being noticed.

``forecasts.csv`` has a row per forecast, with quantiles; ``draws.parquet`` has draws of each row, in thousandths;
``about.json`` says when and from what they were made, and holds the SHA-256 of the other two. The SHA-256 of
``about.json`` itself, the fingerprint, stands for all three: whoever has published it has published the forecasts.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.errors import InputError

_ABOUT, _FORECASTS, _DRAWS = "about.json", "forecasts.csv", "draws.parquet"
_FORMAT = 1
_UNIT = 1000  # draws are whole numbers of these, as scores are published
_TEXTS = ("method", "family", "task", "effort", "quarter", "date")


@dataclass(frozen=True, eq=False)
class AheadRecord:
    """Forecasts before the fact.

    Attributes
    ----------
    table : DataFrame
        As of `bayes_obscaling.evaluation.ahead.Predictions`.
    draws : array (row, draw)
        Scores.
    about : dict
        When, from what and how they were made.
    fingerprint : str
        SHA-256 of ``about.json``; "" before it is written.
    """

    table: pd.DataFrame
    draws: np.ndarray
    about: dict[str, Any]
    fingerprint: str = ""

    @property
    def day(self) -> str:
        """When the forecasts were made, YYYY-MM-DD."""
        return str(self.about["made"])[:10]


def check_day(folder: Path, day: str) -> Path:
    """The place of the record of a day inside a folder; refused is one that is there, which is never overwritten."""
    place = folder / day
    if place.exists():
        remedy = "keep them, since forecasts are never overwritten: write into another folder, or on another day"
        raise InputError(f"There are forecasts of {day} in {folder}", remedy)
    return place


def write_record(record: AheadRecord, folder: Path) -> Path:
    """Write a record into a folder of its day inside `folder`, whole or not at all, and never over another one.

    Raises
    ------
    InputError
        When there is one of that day, or it cannot be written.
    """
    place = check_day(folder, record.day)
    draws = np.round(record.draws * _UNIT).astype(np.uint16)
    buffer = io.BytesIO()
    pd.DataFrame(draws, columns=[str(i) for i in range(draws.shape[1])]).to_parquet(buffer, compression="zstd")
    contents = {
        _FORECASTS: record.table.to_csv(index=False, float_format="%.4f", lineterminator="\n").encode(),
        _DRAWS: buffer.getvalue(),
    }
    about = {**record.about, "files": {name: _sha256(content) for name, content in contents.items()}}
    contents[_ABOUT] = (json.dumps(about, indent=1) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder, prefix=f".{record.day}."))
        try:
            for name, content in contents.items():
                (made / name).write_bytes(content)
            made.chmod(0o755)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        problem = f"The forecasts cannot be written to {place} ({error.strerror or error})"
        raise InputError(problem, "give a folder that has room") from error
    return place


def read_records(folder: Path) -> list[AheadRecord]:
    """Records of a folder that `write_record` wrote: that of one day, or all days inside, the first one first.

    Raises
    ------
    InputError
        When there is none, or one of its files is not what was written.
    """
    days = [folder] if (folder / _ABOUT).is_file() else sorted(path.parent for path in folder.glob(f"*/{_ABOUT}"))
    if not days:
        remedy = "name one that predict-ahead wrote"
        raise InputError(f"There are no forecasts in the folder {folder}", remedy)
    return [read_record(day) for day in days]


def read_record(folder: Path) -> AheadRecord:
    """The record of one day, if its files are those that were written; errors as of `read_records`."""
    contents = {name: _bytes(folder / name) for name in (_ABOUT, _FORECASTS, _DRAWS)}
    try:
        about = json.loads(contents[_ABOUT])
        hashes, form = about["files"], about["format"]
        str(about["made"]), list(about["models"])
    except (ValueError, KeyError, TypeError) as error:
        raise _changed(folder / _ABOUT, "is not what was written") from error
    if form != _FORMAT:
        raise InputError(f"{folder / _ABOUT} has format {form}, this version reads {_FORMAT}", "update the package")
    for name in (_FORECASTS, _DRAWS):
        if hashes.get(name) != _sha256(contents[name]):
            raise _changed(folder / name, f"was changed since it was written: its SHA-256 is not that in {_ABOUT}")
    table = pd.read_csv(io.BytesIO(contents[_FORECASTS]), keep_default_na=False, dtype=dict.fromkeys(_TEXTS, str))
    draws = pd.read_parquet(io.BytesIO(contents[_DRAWS])).to_numpy(float) / _UNIT
    return AheadRecord(table, draws, about, _sha256(contents[_ABOUT]))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _changed(path, f"cannot be read ({error.strerror or error})") from error


def _changed(path: Path, what: str) -> InputError:
    return InputError(f"{path} {what}", "take the folder from where it was published")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
