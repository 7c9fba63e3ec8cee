"""What every analysis returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_obscaling.results.summaries import json_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Finding:
    """The answer to one question; each analysis has a subclass that knows how to draw itself.

    Attributes
    ----------
    table : DataFrame
        The answer, tidy: one row a thing, columns ``median, q5, q25, q75, q95`` where it has draws.
    sentences : tuple of str
        What the table says, in words, with its numbers.
    problems : tuple of str
        What went wrong in sampling the fits behind it; empty when nothing did.
    parts : mapping of str to DataFrame
        Further tables, by name.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]
    problems: tuple[str, ...] = ()
    parts: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the answer.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        matplotlib Axes
        """
        raise NotImplementedError(f"{type(self).__name__} has no plot")

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values: ``table, parts, sentences, problems``; NaN becomes null."""
        return {
            "table": json_rows(self.table),
            "parts": {name: json_rows(part) for name, part in self.parts.items()},
            "sentences": list(self.sentences),
            "problems": list(self.problems),
        }
