"""Whoever looks sees how far a fit is; nobody else is told."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from bayes_obscaling import progress


@progress.shows_progress()
def works(items: int, *, progress: progress.Progress = None) -> int:
    if progress:
        for done in range(items + 1):
            progress("capabilities", done, items)
    return items


@progress.shows_progress("backtests")
def works_in_jobs(*, progress: progress.Progress = None) -> None:
    if progress:
        progress("fold 1", 0, 2)
        progress("fold 2", 1, 2)


class Handle:
    """What a notebook was told to show, time and again."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(content)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Handle:
    handle, shell = Handle(), SimpleNamespace(kernel=object())
    display = SimpleNamespace(display=lambda *_, **__: handle)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return handle


def terminal() -> Console:
    return Console(force_terminal=True, force_interactive=True, width=100, record=True, file=sys.stderr)


def test_nothing_is_written_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert works(3) == 3
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar_for_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bars(console=terminal()) as tell:
        tell("capabilities", 0, 40)
        tell("task heads", 0, 40)
        tell("task heads", 40, 40)
    text = capsys.readouterr().err
    assert "capabilities: compiling" in text and "0/40" in text and "40/40" in text
    assert "None" not in text


def test_standard_error_is_asked_whether_it_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    works(3)
    captured = capsys.readouterr()
    assert "capabilities" in captured.err and not captured.out


def test_the_log_of_a_long_command_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 16.0, 20.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.bars("fits", Console(stderr=True, width=100)) as tell:
        for done in range(4):
            tell("capabilities [a]", done, 40)
    assert capsys.readouterr().err.splitlines() == [
        "fits: capabilities [a], 1 of 40, 16 s",
        "fits: capabilities [a], 3 of 40, 40 s",
    ]


def test_a_notebook_is_drawn_again_and_emptied_in_the_end(notebook: Handle) -> None:
    works(3)
    texts = [content["text/plain"] for content in notebook.shown]
    assert texts[0] == "capabilities: compiling, 0 of 3" and texts[-1] == ""
    assert "capabilities, 3 of 3" in texts
    assert '<progress value="3" max="3">' in notebook.shown[-2]["text/html"]


def test_jobs_share_one_line(notebook: Handle) -> None:
    works_in_jobs()
    texts = [content["text/plain"] for content in notebook.shown]
    assert texts[0] == "backtests: fold 1, 0 of 2"
    assert all("\n" not in text for text in texts)


def test_a_notebook_is_emptied_when_interrupted(notebook: Handle) -> None:
    with pytest.raises(KeyboardInterrupt), progress.bars() as tell:
        tell("capabilities", 1, 3)
        raise KeyboardInterrupt
    assert notebook.shown[-1]["text/plain"] == ""


def test_false_is_silence_and_a_function_is_told(notebook: Handle) -> None:
    told: list[tuple[str, int, int]] = []
    works(2, progress=False)
    works(2, progress=lambda *what: told.append(what))
    assert told == [("capabilities", done, 2) for done in range(3)]
    assert notebook.shown == []
