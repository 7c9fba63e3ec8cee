"""How the command line shows an answer: as tables that cut no number, in words, as JSON, in files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayes_obscaling.errors import InputError
from bayes_obscaling.progress import bars

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bayes_obscaling.checks import Check
    from bayes_obscaling.cli.options import Outputs
    from bayes_obscaling.results.finding import Answer


@cache
def out() -> Console:
    """Standard output, made when something is printed: help waits for no library."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@cache
def err() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, stderr=True)


COLOURS = {"PASS": "green", "REVIEW": "yellow", "FAIL": "red"}
# Width to which names are shortened before a column is left out.
_SHORTEST = 18
_MOST_WARNINGS = 4
# Lower bounds that go with an upper one.
_PARTNERS = {"q75": "q25", "q95": "q5"}


def plain(text: object) -> str:
    """Text that holds no markup."""
    return str(text).replace("[", r"\[")


# --- tables -------------------------------------------------------------------------------------------------------


def print_table(
    table: pd.DataFrame,
    title: str = "",
    *,
    rows: int | None = None,
    least: Sequence[str] = (),
    to: Console | None = None,
) -> None:
    """Print a table that fits the terminal without cutting a number; whole where there is no terminal.

    Parameters
    ----------
    table : DataFrame
        Texts are printed as they are.
    title : str
        A line above it.
    rows : int, optional
        Most rows to print.
    least : sequence of str
        Columns to leave out first where there is no room; then the last ones.
    to : Console
        Where to print; default standard output.
    """
    to = to or out()
    columns = {str(name): _cells(column) for name, column in table.head(len(table) if rows is None else rows).items()}
    left_out = _fit(columns, least, to.width if to.is_terminal else None)
    right = {name: _is_numeric(cells) for name, cells in columns.items()}
    widths = {name: max(map(_width, (name, *cells))) for name, cells in columns.items()}

    def line(cells: Iterable[str]) -> str:
        padded = [
            " " * (widths[name] - _width(cell)) + cell if right[name] else cell + " " * (widths[name] - _width(cell))
            for name, cell in zip(columns, cells, strict=True)
        ]
        return plain("  ".join(padded).rstrip())

    if title:
        to.print(f"[italic]{plain(title)}[/]")
    to.print(f"[bold]{line(columns)}[/]")
    for cells in zip(*columns.values(), strict=True):
        to.print(line(cells))
    if left_out:
        to.print(f"No room for {', '.join(left_out)}: a wider terminal, a pipe or --output has them.")
    if rows is not None and len(table) > rows:
        to.print(f"{len(table) - rows} more rows: --output writes them all.")


def _fit(columns: dict[str, list[str]], least: Sequence[str], width: int | None) -> list[str]:
    """Shorten names in place, then take columns out, until the rest fits; return the columns taken out."""
    left_out: list[str] = []
    others = list(columns)[1:]
    waiting = [name for name in least if name in others]
    rest = [name for name in reversed(others) if name not in waiting]
    waiting += sorted(rest, key=lambda name: ("q75", "q25").count(name) * -1 + ("q95", "q5", "median").count(name))

    def excess() -> int:
        wanted = sum(max(map(_width, (name, *cells))) for name, cells in columns.items())
        return 0 if width is None else wanted + 2 * (len(columns) - 1) - width

    while (over := excess()) > 0:
        texts = {name: max(map(_width, cells), default=0) for name, cells in columns.items() if not _is_numeric(cells)}
        longest = max(texts, key=lambda name: texts[name], default="")
        room = max(_SHORTEST, _width(longest), texts.get(longest, 0) - over)
        if texts.get(longest, 0) > room:
            columns[longest] = [_shortened(cell, room) for cell in columns[longest]]
        elif waiting := [name for name in waiting if name in columns]:
            name = waiting.pop(0)
            pair = [one for one in (name, _PARTNERS.get(name)) if one in columns]
            left_out += pair
            for one in pair:
                del columns[one]
        else:
            break
    return left_out


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _shortened(name: str, room: int) -> str:
    """Name without its organisation, then without its end."""
    if _width(name) > room:
        name = name.rpartition("/")[2] or name
    return name if _width(name) <= room else f"{name[: room - 1]}…"


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(cell.lstrip("+-~<>")[:1].isdigit() for cell in cells if cell)


def _cells(column: pd.Series) -> list[str]:
    """Values as text: counts without decimals, other numbers with three, very large and small ones with an exponent."""
    if column.dtype.kind != "f":
        from bayes_obscaling.results.readable import as_words

        return as_words(column)
    is_count = bool((column.dropna() % 1 == 0).all())
    return ["" if value != value else _number(value, 0 if is_count else 3) for value in column]


def _number(value: float, decimals: int) -> str:
    is_plain = not value or ((abs(value) >= 1e-3 or not decimals) and abs(value) < 1e5)
    return f"{value:.{decimals}f}" if is_plain else f"{value:.3g}"


def span(low: Iterable[float], high: Iterable[float], decimals: int = 3) -> list[str]:
    """Intervals as text."""
    return [f"{a:.{decimals}f} to {b:.{decimals}f}" for a, b in zip(low, high, strict=True)]


# --- words --------------------------------------------------------------------------------------------------------


def note(text: str, to: Console | None = None) -> None:
    """Tell something by the way, once per command, on standard error if nowhere else."""
    context = click.get_current_context(silent=True)
    told = set() if context is None else context.meta.setdefault(f"{__name__}.told", set())
    if text not in told:
        told.add(text)
        (to or err()).print(f"Note: {plain(text)}")


def warn(text: str, to: Console | None = None) -> None:
    """Tell something that must not be overlooked, on standard error if nowhere else."""
    (to or err()).print(f"[yellow]Warning:[/] {plain(text)}")


def print_checks(checks: Iterable[Check]) -> None:
    """Print one line per check: level, what was found, what to do."""
    for one in checks:
        remedy = f" -> {plain(one.remedy)}" if one.remedy else ""
        out().print(f"  [{COLOURS[one.level]}]{one.level:6}[/] {plain(one.check)}: {plain(one.said)}{remedy}")


def print_warnings(warnings: Sequence[str], notes: Sequence[str], to: Console) -> None:
    """Print the first warnings, and all notes, each once."""
    warnings = list(dict.fromkeys(warnings))
    for text in warnings[:_MOST_WARNINGS]:
        warn(text, to)
    if (more := len(warnings) - _MOST_WARNINGS) > 0:
        warn(f"{more} more like these; --json lists all.", to)
    for text in notes:
        note(text, to)


_LONGER = "take more --draws, or a simpler model, such as fewer --factors"


def print_sampler(problems: Sequence[str], verdict: str, numbers: str, to: Console, remedy: str = _LONGER) -> None:
    """Print whether the sampler has converged, and what is wrong where it has not, with the remedy."""
    measured = f" ({numbers})" if numbers else ""
    if problems:
        to.print(f"[bold red]Sampler:[/] NOT CONVERGED{measured}. Do not rely on these intervals: {plain(remedy)}.")
        for problem in problems:
            to.print(f"  - {plain(problem)}")
    elif numbers:
        word, colour = ("converged", "bold green") if verdict == "PASS" else (verdict, "bold yellow")
        to.print(f"[{colour}]Sampler:[/] {word}{measured}.")


# --- answers ------------------------------------------------------------------------------------------------------


def show(
    answer: Answer,
    title: str,
    outputs: Outputs,
    *,
    rows: int = 40,
    least: Sequence[str] = (),
    layout: Callable[[], None] | None = None,
    sentences: Sequence[str] | None = None,
    sampler: bool = True,
    keep: Callable[[], list[str]] | None = None,
) -> None:
    """Print an answer, say what went wrong, write its table and its plot.

    Parameters
    ----------
    answer : Answer
        What to show.
    title : str
        A line above the table.
    outputs : Outputs
        Where it goes besides the screen; with JSON, words go to standard error.
    rows : int
        Most rows of the table to print.
    least : sequence of str
        Columns to leave out first where there is no room.
    layout : callable, optional
        Prints the table, where it takes more than `print_table`.
    sentences : sequence of str, optional
        Default those of the answer.
    sampler : bool
        Whether to say how sampling went.
    keep : callable, optional
        Writes something else; returns the names of what was written.
    """
    to = err() if outputs.as_json else out()
    try:  # on the screen first: should the disk be full, the answer is not lost
        if outputs.as_json:
            print_json(answer.to_dict())
        elif layout is not None:
            layout()
        else:
            print_table(answer.summary(), title, rows=rows, least=least)
        for sentence in answer.sentences if sentences is None else sentences:
            to.print(plain(sentence))
        notes = (*getattr(answer, "own_notes", ()), *getattr(getattr(answer, "fit", None), "notes", ()))
        print_warnings(getattr(answer, "warnings", ()), notes, to)
        convergence = getattr(answer, "convergence", None)
        numbers = "" if convergence is None else convergence.numbers
        if sampler:
            print_sampler(answer.problems, answer.verdict, numbers, to, getattr(answer, "remedy", _LONGER))
    finally:  # ... and in its file, should nobody read the screen
        written = [*outputs.write(answer), *(keep() if keep else ())]
    for name in written:
        to.print(f"Wrote {plain(name)}")


def print_json(value: Any) -> None:
    """Print JSON on standard output; NaN becomes null."""
    print(json.dumps(value, indent=2))


@contextmanager
def progress_bars(label: str | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on standard error, one for each thing that is sampled, or one of that label; gives the function to tell."""
    with bars(label or "", err()) as tell:
        yield tell


# --- files --------------------------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Write a file whole, or say in one sentence why not."""
    from bayes_obscaling.files import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): write elsewhere.") from error


def save_plot(draw: Callable[[], Any], path: Path) -> None:
    """Draw without a display and write the figure; `draw` returns an axes, or an array of them."""
    import io

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    buffer = io.BytesIO()
    figure = np.atleast_1d(draw()).flat[0].figure
    figure.savefig(buffer, format=path.suffix.lstrip("."), dpi=150, bbox_inches="tight")
    plt.close(figure)
    write(path, buffer.getvalue())
