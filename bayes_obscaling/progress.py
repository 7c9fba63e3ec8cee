"""How far a fit is: bars in a terminal, lines in a notebook, now and then a line of a command's log; else nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias, TypeVar

from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

# Told what is being sampled, how many draws are made, and how many there will be: none of them while it compiles.
Tell: TypeAlias = Callable[[str, int, int], None]
# What a function that fits takes: a function to tell, False for silence, or None, which shows bars to whoever looks.
Progress: TypeAlias = Tell | Literal[False] | None

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")
# Seconds between two updates of a notebook, and between two lines of a log.
_PATIENCE, _LOG_PATIENCE = 0.25, 15.0


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def shows_progress(
    label: str = "",
) -> Callable[[Callable[_Parameters, _Answer]], Callable[_Parameters, _Answer]]:
    """Decorator of a public function that fits: its keyword ``progress`` shows bars unless it says otherwise.

    Parameters
    ----------
    label : str
        Of the only bar; default one bar per thing that is sampled.
    """

    def decorate(function: Callable[_Parameters, _Answer]) -> Callable[_Parameters, _Answer]:
        @wraps(function)
        def shown(*args: _Parameters.args, **options: _Parameters.kwargs) -> _Answer:
            wanted = options.get("progress")
            if wanted is not None:
                if wanted is not False and not callable(wanted):
                    raise InputError(f"progress is {wanted!r}", "give a function to tell, or False for silence")
                return function(*args, **options)
            with bars(label) as tell:
                options["progress"] = tell
                return function(*args, **options)

        return shown

    return decorate


@contextmanager
def bars(label: str = "", console: Console | None = None) -> Iterator[Tell]:
    """Give the function to tell: bars in a notebook or in a terminal; elsewhere lines of a command, seldom.

    Parameters
    ----------
    label : str
        Of the only bar; default one bar per thing that is sampled.
    console : Console, optional
        Where a command prints; default standard error.
    """
    if console is None and in_notebook():
        with _notebook_lines(label) as tell:
            yield tell
    elif console.is_terminal if console is not None else sys.stderr.isatty():
        with _terminal_bars(label, console) as tell:
            yield tell
    else:
        yield silent if console is None else _log_lines(label, console)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def wording(label: str, what: str, done: int) -> str:
    """What stands beside a bar."""
    if label:
        return f"{label}: {what}"
    return what if done else f"{what}: compiling"


@contextmanager
def _terminal_bars(label: str, console: Console | None) -> Iterator[Tell]:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    text, count = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[count]"))
    columns = (text, BarColumn(), count, TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console or Terminal(stderr=True)) as drawn:
        known: dict[str, Any] = {}
        if label:  # what is told of jobs is when they have ended: long after the first one has begun
            known[label] = drawn.add_task(label, total=None, count="")

        def tell(what: str, done: int, total: int) -> None:
            name, words = label or what, wording(label, what, done)
            if name not in known:
                known[name] = drawn.add_task(words, total=total, count="")
            drawn.update(known[name], description=words, completed=done, total=total, count=f"{done}/{total}")

        yield tell


def _log_lines(label: str, console: Console) -> Tell:
    """A plain line every quarter of a minute: a log is read later, and what takes seconds leaves none."""
    started = last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LOG_PATIENCE:
            last = now
            console.print(f"{wording(label, what, done)}, {done} of {total}, {now - started:.0f} s", markup=False)

    return tell


@contextmanager
def _notebook_lines(label: str) -> Iterator[Tell]:
    """A display that is drawn again as draws are made, and emptied in the end."""
    from IPython.display import display

    started, last = time.monotonic(), -1.0
    lines: dict[str, tuple[str, int, int]] = {}
    first = {"text/plain": label, "text/html": escape(label)}
    handle = display(first, raw=True, display_id=True)

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        is_news = (label or what) not in lines or done in (0, total)
        lines[label or what] = wording(label, what, done), done, total
        now = time.monotonic()
        if is_news or now - last > _PATIENCE:
            last = now
            handle.update(_as_display(lines, now - started), raw=True)

    try:
        yield tell
    finally:
        handle.update({"text/plain": "", "text/html": ""}, raw=True)


def _as_display(lines: dict[str, tuple[str, int, int]], seconds: float) -> dict[str, str]:
    texts = [f"{words}, {done} of {total}" for words, done, total in lines.values()]
    drawn = "".join(
        f'<div><progress value="{done}" max="{total}"></progress> {escape(text)}</div>'
        for text, (_, done, total) in zip(texts, lines.values(), strict=True)
    )
    return {"text/plain": "\n".join(texts), "text/html": f"{drawn}<div>{seconds:.0f} s</div>"}
