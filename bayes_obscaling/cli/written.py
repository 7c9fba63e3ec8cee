"""Tables as files: what the ending of the name says."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".tsv", ".json", ".xlsx")


def check_ending(path: Path) -> None:
    """Refuse a name whose ending says a kind of file that is not written; without one it is a CSV."""
    if path.suffix and path.suffix.casefold() not in ENDINGS and not path.is_dir():
        raise InputError(f"A table cannot be written as {path.name}", f"use {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


def table_bytes(table: pd.DataFrame, ending: str) -> bytes:
    """Return the content of a file of that ending that holds the table."""
    if ending.casefold() == ".xlsx":
        buffer = io.BytesIO()
        table.to_excel(buffer, index=False)
        return buffer.getvalue()
    if ending.casefold() == ".json":
        from bayes_obscaling.results.summaries import json_rows

        return json.dumps(json_rows(table), indent=2).encode()
    return table.to_csv(index=False, sep="\t" if ending.casefold() == ".tsv" else ",").encode()
