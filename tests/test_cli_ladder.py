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
        (["--target", "N=7e9,N=8e9,D=4e12"], "N is there twice"),
        (["--runs", "OWN", "--target", "N=7e9,D=4e12", "--recipe", "mine"], "has recipe 'mine'"),
        (["--runs", "OWN", "--target", "N=7e9,D=4e12", "--target", "N=7e9,D=4e12"], "Two scenarios are called"),
        (["--runs", "OWN", "--target", "N=7e9,D=4e12", "--update", "OWN"], "not of 7e+09 parameters"),
        (["--runs", "OWN", "--backtest", "--recipe", "mine"], "2 sizes: a law in N and D needs at least 3"),
        (["--paper-runs", "--backtest", "--hold-out", "3.2B,1.3B", "--recipe", "mine"], "has recipe 'mine'"),
        (["--paper-runs", "--backtest", "--hold-out", "3.2B,758M"], "2 sizes: a law in N and D needs at least 3"),
        (["--accept", "rungs"], "--accept is about your own ladder"),
        (["--runs", "OWN", "--target", "N=7e9,D=4e12", "--accept", "units"], "There is no check 'units'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str], fragment: str, own: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, said = run("ladder", *(own if word == "OWN" else word for word in arguments))
    assert code == 2 and fragment in " ".join(said.split()) and "Traceback" not in said
    assert printed == "" and list(tmp_path.iterdir()) == [own]


def test_a_ladder_that_fails_its_check_is_not_sampled(own: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    from bayes_obscaling.inference import fit_ladder

    class SampledError(Exception):
        pass

    def sample(*_: object, **__: object) -> None:
        raise SampledError

    monkeypatch.setattr(fit_ladder, "sample", sample)
    asked = ["ladder", "--runs", own, "--target", "N=7e9,D=4e12"]
    pd.read_csv(own).assign(N=[0.1, 0.2, 0.4], D=[2, 4, 8]).to_csv(own, index=False)
    code, _, said = run(*asked)
    assert code == 2 and "the check rungs failed" in said and "go on with --accept rungs" in said
    with pytest.raises(SampledError):
        run(*asked, "--accept", "rungs")


def test_losses_alone_cannot_do_without_a_feature(own: Path, run: Run) -> None:
    import pandas as pd

    pd.read_csv(own).drop(columns="accuracy").to_csv(own, index=False)
    code, _, said = run("ladder", "--runs", own, "--target", "N=7e9,D=4e12", "--feature", "none")
    assert code == 2 and "the ladder has none: leave out the feature" in said
