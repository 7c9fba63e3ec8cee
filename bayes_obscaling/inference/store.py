"""Finished jobs on disk: one file each, with a checksum, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_obscaling.errors import InputError
from bayes_obscaling.files import write_atomically

Result = tuple[pd.DataFrame, dict[str, Any]]

UNREADABLE = (ValueError, KeyError, TypeError)  # what reading a damaged file raises
RESUME = "run again with --resume: what is stored is not computed again"
_FORMAT = 1


@dataclass(frozen=True)
class Store:
    """A folder with one file per finished job: a line with the checksum of the next line, and that line, both JSON.

    Frames keep their values and dtypes exactly, or are refused. Facts are what JSON can hold; NaN and infinities
    are written as Python writes them. A file that is cut short, changed, or renamed counts as absent.
    """

    folder: Path

    def path(self, key: str) -> Path:
        """Where the result of a job is stored."""
        return self.folder / f"{key}.jsonl"

    def load(self, key: str) -> Result | None:
        """Frame and facts of a finished job; None when absent or damaged."""
        try:
            return decode(key, self.path(key).read_bytes())
        except (OSError, *UNREADABLE):
            return None

    def save(self, key: str, frame: pd.DataFrame, facts: dict[str, Any]) -> None:
        """Store a result; raises InputError when it cannot be written, and TypeError when it would not survive."""
        self.keep(key, encode(key, frame, facts))

    def fail(self, key: str, message: str, details: str = "") -> None:
        """Record why a job has no result; the job still counts as not done."""
        self._write(self._failure_path(key), json.dumps({"message": message, "details": details}).encode())

    def failure(self, key: str) -> str | None:
        """Message of the last failure of a job that has no result since; None when there is none."""
        try:
            return str(json.loads(self._failure_path(key).read_bytes())["message"])
        except (OSError, *UNREADABLE):
            return None

    def _failure_path(self, key: str) -> Path:
        return self.folder / f"{key}.failed.json"

    def keep(self, key: str, data: bytes) -> None:
        """Store the bytes of a result, made by `encode`."""
        self._write(self.path(key), data)
        self._failure_path(key).unlink(missing_ok=True)

    def make_folder(self) -> None:
        """Find out before the first long job, rather than after it, that nothing can be stored."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise InputError(
                f"Results cannot be stored in {self.folder} ({error.strerror}); name another folder."
            ) from error

    def _write(self, path: Path, data: bytes) -> None:
        self.make_folder()
        try:
            write_atomically(path, data)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "free some space there" if full else "make that possible"
            raise InputError(f"{path} cannot be written ({error.strerror}); {remedy} and {RESUME}.") from error


def encode(key: str, frame: pd.DataFrame, facts: dict[str, Any]) -> bytes:
    """Bytes of a file; raises TypeError when the frame would not come back as it is."""
    columns = [[name, str(column.dtype), column.tolist()] for name, column in frame.items()]
    try:
        body = json.dumps({"key": key, "facts": facts, "columns": columns}).encode()
        data = json.dumps({"format": _FORMAT, "sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n" + body
        kept = decode(key, data)[0]
        pd.testing.assert_frame_equal(kept, frame, check_exact=True, check_index_type=False, check_column_type=False)
    except (AssertionError, TypeError, ValueError) as error:
        raise TypeError(f"This result cannot be stored as JSON without a change: {error}") from error
    return data


def decode(key: str, data: bytes) -> Result:
    """Frame and facts of a file; raises one of `UNREADABLE`."""
    head, _, body = data.partition(b"\n")
    if json.loads(head) != {"format": _FORMAT, "sha256": hashlib.sha256(body).hexdigest()}:
        raise ValueError("wrong checksum or format")
    content = json.loads(body)
    if content["key"] != key:
        raise ValueError("stored under another key")
    columns = {name: pd.Series(values, dtype=dtype) for name, dtype, values in content["columns"]}
    return pd.DataFrame(columns), content["facts"]
