"""Tables that a validation makes one after the other, each in a file of its own: it goes on where it was stopped."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_obscaling.files import write_atomically


class KeptTables:
    """Reads what is there, and makes the rest until its time, in minutes, is over."""

    def __init__(self, folder: Path, minutes: float = np.inf) -> None:
        self.folder, self.end = folder, time.monotonic() + 60 * minutes
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, names: Sequence[str], make: Callable[[], Sequence[pd.DataFrame]]) -> list[pd.DataFrame] | None:
        """Tables of these names, made together if one is missing; None where there is no time left to begin."""
        files = [self.folder / f"{name}.csv" for name in names]
        if not all(file.exists() for file in files):
            if time.monotonic() > self.end:
                return None
            for file, frame in zip(files, make(), strict=True):
                write_atomically(file, frame.to_csv(index=False).encode())
        return [pd.read_csv(io.StringIO(file.read_text())) for file in files]
