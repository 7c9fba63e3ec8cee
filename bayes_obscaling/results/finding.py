"""What every question about a fit, a table or a design is answered with: tables, sentences, a verdict, a plot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from bayes_obscaling.checks import Level, counted
from bayes_obscaling.errors import InputError
from bayes_obscaling.files import write_atomically
from bayes_obscaling.results.readable import as_lines, readable
from bayes_obscaling.results.summaries import json_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Rows of a table that a notebook shows, and those that are printed; sentences, and problems, of either.
_SHOWN_ROWS, _PRINTED_ROWS = 20, 10
_SENTENCES, _PROBLEMS = 6, 3


def write_or_refuse(path: Path, content: bytes | memoryview, what: str) -> Path:
    """Write a file as `write_atomically` does and return its path, or say what cannot be written, and why."""
    try:
        write_atomically(path, content)
    except OSError as error:
        problem = f"{what} cannot be written to {path} ({error.strerror or error})"
        raise InputError(problem, "give a file in a folder that exists and has room") from error
    return path


class Answer(ABC):
    """The verbs that all results share."""

    # Columns that are read first, which make the summary; default all.
    front: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:  # fields of some results, properties of others

        @property
        def sentences(self) -> tuple[str, ...]:
            """What the answer says, in words."""

        @property
        def problems(self) -> tuple[str, ...]:
            """What went wrong in sampling the fits behind it; empty when nothing did."""

    @abstractmethod
    def to_dataframe(self) -> pd.DataFrame:
        """Return the answer as one table with all its columns, as `save` writes it."""

    def summary(self) -> pd.DataFrame:
        """Return the answer as one table with the columns that are read first; `to_dataframe` has them all."""
        table = self.to_dataframe()
        return table[[name for name in self.front if name in table]] if self.front else table

    @property
    def verdict(self) -> Level:
        """FAIL where sampling went wrong (see `problems`), else PASS."""
        return "FAIL" if self.problems else "PASS"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values: ``verdict, table, sentences, problems``; NaN becomes null."""
        return {
            "verdict": self.verdict,
            "table": json_rows(self.to_dataframe()),
            "sentences": list(self.sentences),
            "problems": list(self.problems),
        }

    def save(self, path: str | Path) -> Path:
        """Write all columns of the table as a CSV, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Destination, replaced if it exists.

        Raises
        ------
        InputError
            When it cannot be written.
        """
        return write_or_refuse(Path(path), self.to_dataframe().to_csv(index=False).encode(), "The table")

    def __repr__(self) -> str:
        summary = self.summary()
        table = readable(summary.head(_PRINTED_ROWS))
        return "\n".join(
            [
                f"{type(self).__name__}: {counted(len(summary), 'row')}",
                *as_lines(table),
                *self._words(len(summary) - _PRINTED_ROWS),
                f"Verdict: {self.verdict}",
            ]
        )

    def _repr_html_(self) -> str:
        summary = self.summary()
        table = readable(summary.head(_SHOWN_ROWS)).to_html(index=False, border=0, justify="left")
        words = "<br>".join(map(escape, self._words(len(summary) - _SHOWN_ROWS)))
        colour = ' style="color:#c00000"' if self.verdict == "FAIL" else ""
        verdict = f"<b{colour}>Verdict: {self.verdict}</b>"
        return f"<b>{type(self).__name__}</b>{table}<p>{words}</p><p>{verdict}</p>"

    def _words(self, left: int) -> list[str]:
        """How many rows are not shown, the first sentences and problems, line by line."""
        rows = [f"... and {counted(left, 'more row')}: summary() has them all"] if left > 0 else []
        return [
            *rows,
            *_first(self.sentences, _SENTENCES, "sentences"),
            *(f"Problem: {problem}" for problem in _first(self.problems, _PROBLEMS, "problems")),
        ]


def _first(texts: tuple[str, ...], most: int, name: str) -> list[str]:
    """The first texts, and where the others are."""
    more = len(texts) - most
    return [*texts[:most], f"and {more} more: .{name} has them all"] if more > 1 else list(texts)


@dataclass(frozen=True, eq=False, repr=False)
class Finding(Answer):
    """The answer to one question; each question has a subclass that knows how to draw itself.

    Attributes
    ----------
    table : DataFrame
        The answer, tidy: one row per thing, columns ``median, q5, q25, q75, q95`` where it has draws.
    sentences : tuple of str
        What the table says, in words, with its numbers.
    problems : tuple of str
        What went wrong in sampling the fits behind it; empty when nothing did.
    parts : mapping of str to DataFrame
        Further tables, by name.
    """

    drawn_by: ClassVar[str] = ""

    table: pd.DataFrame
    sentences: tuple[str, ...]
    problems: tuple[str, ...] = ()
    parts: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table."""
        return self.table

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the answer, by the function of `bayes_obscaling.plots` that ``drawn_by`` names.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.
        **options
            Of that function.
        """
        if not self.drawn_by:
            raise NotImplementedError(f"{type(self).__name__} has no plot")
        from bayes_obscaling import plots

        axes: Axes = getattr(plots, self.drawn_by)(self, ax=ax, **options)
        return axes

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values: ``verdict, table, sentences, problems, parts``; NaN becomes null."""
        return {**super().to_dict(), "parts": {name: json_rows(part) for name, part in self.parts.items()}}
