"""Questions of backtests: which tasks of a table are forecast under which split, and who is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, Split


@dataclass(frozen=True, eq=False)
class Question:
    """One backtest: tasks of a table under a split.

    Attributes
    ----------
    table : ScoreTable
        The scores.
    tasks : sequence of str
        Tasks that are fitted together.
    split : Split
        Who is held out.
    label : str
        Name of the setup or design: the ``setup`` of its cells.
    methods : tuple of str
        Baselines.
    unknown_compute : bool
        Whether held-out models of unknown compute are judged.
    up_to : float
        FLOPs above which held-out models are not judged.
    """

    table: ScoreTable
    tasks: Sequence[str]
    split: Split
    label: str
    methods: tuple[str, ...] = ()
    unknown_compute: bool = True
    up_to: float = np.inf

    @property
    def options(self) -> dict[str, Any]:
        """What `bayes_obscaling.backtest` is told beside table, tasks and split."""
        return {"setup": self.label, "methods": self.methods, "unknown_compute": self.unknown_compute}

    def judged(self, cells: pd.DataFrame) -> pd.DataFrame:
        """Cells of the models up to the largest compute that is judged."""
        return cells[cells["flops"] <= self.up_to * (1 + 1e-9)] if np.isfinite(self.up_to) else cells
