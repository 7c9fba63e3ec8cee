"""The ladder command: what it refuses before it samples, each in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text("N,D,task,loss,accuracy\n1e8,2e9,quiz,1.2,0.3\n2e8,4e9,quiz,1.1,0.33\n4e8,8e9,quiz,1.0,0.36\n")
    return path


@pytest.mark.parametrize(
    "arguments, fragment",
    [
        (["--backtest", "--compare"], "different questions: ask one"),
        (["--runs", "OWN"], "needs a target"),
        (["--runs", "OWN", "--paper-runs", "--target", "N=7e9,D=4e12"], "leave one of the two out"),
        (["--fit", "OWN", "--paper-runs"], "leave out --paper-runs"),
        (["--target", "N=7e9"], "D is missing"),
        (["--target", "N=7e9,D=many"], "'many', not a number"),
        (["--target", "N=7e9,D=4e12,K=2"], "'K' is not known"),
        (["--fit", "OWN"], "damaged or not a netCDF file"),
        (["--plot", "x.gif"], "use .png, .pdf or .svg"),
        (["--loss", "pile"], "--loss names a column of your own ladder"),
        (["--runs", "OWN", "--loss", "pile", "--target", "N=7e9,D=4e12"], "a column 'pile'"),
        (["--next-run", "--recipe", "similar"], "about the ladder's own recipe"),
        (["--update", "OWN"], "--update needs one target"),
        (["--update", "OWN", "--next-run"], "leave one of the two out"),
        (["--update", "none.csv", "--target", "N=7e9,D=4e12"], "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str], fragment: str, own: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, said = run("ladder", *(own if word == "OWN" else word for word in arguments))
    assert code == 2 and fragment in " ".join(said.split()) and "Traceback" not in said
    assert printed == "" and list(tmp_path.iterdir()) == [own]
