"""Ladders as data: reading a user's own, and refusing what cannot be a ladder."""

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling import InputError, read
from bayes_obscaling.data import Ladder, load_olmo_ladder, read_ladder


@pytest.fixture
def frame():
    """Three sizes at three token counts each, one task."""
    rows = [
        {
            "N": n,
            "D": d * n,
            "task": "exam",
            "loss": 2 * n**-0.1 + 5 * (d * n) ** -0.1,
            "acc": 0.3 + 0.02 * i + 0.01 * j,
        }
        for i, n in enumerate((1e8, 3e8, 1e9))
        for j, d in enumerate((20, 60, 200))
    ]
    return pd.DataFrame(rows)


def test_own_ladder(frame, tmp_path):
    path = tmp_path / "mine.csv"
    frame.to_csv(path, index=False)
    ladder = read_ladder(path)
    assert (len(ladder.runs), ladder.sizes) == (9, [1e8, 3e8, 1e9])
    assert np.array_equal(ladder.matrix("accuracy")[:, 0], frame["acc"])
    assert ladder.runs["flops"].iloc[1] == pytest.approx(6 * 1e8 * 6e9)
    assert "task exam has no chance level" in ladder.notes[0]
    assert ladder.data_hash == read_ladder(frame.sample(frac=1, random_state=0)).data_hash


def test_one_loss_for_all_tasks_is_noticed(frame):
    several = pd.concat([frame, frame.assign(task="hellaswag", acc=frame["acc"] + 0.01)], ignore_index=True)
    for name in ("loss", "c4_loss", "val_loss"):
        ladder = read_ladder(several.rename(columns={"loss": name}))
        assert any("one loss for all tasks" in note for note in ladder.notes)
        assert np.array_equal(ladder.matrix("task_loss"), ladder.matrix("c4_loss"))
        assert ladder.tasks["chance"].to_dict() == {"exam": 0.0, "hellaswag": 0.25}
    several.loc[0, "loss"] += 0.1
    assert not any("one loss" in note for note in read_ladder(several).notes)


def test_a_column_per_task(frame, tmp_path):
    wide = frame.assign(exam=frame["acc"], ARC=frame["acc"] + 0.01, run=[f"r{i}" for i in range(9)])
    wide.drop(columns=["task", "acc"]).to_csv(tmp_path / "wide.csv", index=False)
    ladder = read(tmp_path / "wide.csv")
    assert isinstance(ladder, Ladder)
    assert ladder.tasks["chance"].to_dict() == {"exam": 0.0, "ARC": 0.25}
    assert np.array_equal(ladder.matrix("accuracy")[:, 0], frame["acc"])
    assert any("a column of accuracies per task: exam, ARC" in note for note in ladder.notes)
    with pytest.raises(InputError, match="none with the accuracies of one"):
        read_ladder(wide.drop(columns=["task", "acc", "exam", "ARC"]))


def test_missing_values_stay_missing(frame):
    frame.loc[2, "acc"] = np.nan
    accuracy = read_ladder(frame).matrix("accuracy")
    assert np.isnan(accuracy).sum() == 1 and np.isnan(accuracy[2, 0])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.drop(columns="D"), r"no column for tokens \(tokens or d\)"),
        (
            lambda f: f.assign(N=f["N"].where(f.index != 3)),
            r"row 4, column 'N': N, the number of parameters, is missing",
        ),
        (lambda f: f.rename(columns={"loss": "acc", "acc": "loss"}), "look swapped"),
        (lambda f: f.assign(acc=100 * f["acc"]), "outside 0..1; write the fraction"),
        (lambda f: f.assign(loss=-f["loss"]), "is not positive"),
        (lambda f: pd.concat([f, f.iloc[[0]]]), "stands here a second time"),
        (lambda f: f.assign(loss="low"), "'low' is not a number"),
        (lambda f: f.iloc[:0], "no row"),
        (lambda f: f.assign(chance=1.0), "must be a fraction from 0 to below 1"),
    ],
)
def test_what_cannot_be_a_ladder_is_refused(frame, spoil, says):
    with pytest.raises(InputError, match=says):
        read_ladder(spoil(frame))


def test_too_few_rungs(frame):
    ladder = read_ladder(frame)
    with pytest.raises(InputError, match="2 sizes: a law in N and D needs at least 3"):
        ladder.below(1e9).check_rungs()
    one = ladder.select(list(ladder.runs.index[[0, 3, 6]]))
    one.runs["tokens"] = [1e9, 1e9, 2e9]
    with pytest.raises(InputError, match="2 token counts"):
        one.check_rungs()


def test_below_leaves_the_size_itself_out():
    ladder = load_olmo_ladder()
    assert len(ladder.below(ladder.sizes[-1]).runs) == 12
    assert len(ladder.below(ladder.sizes[-1] * 1.05).runs) == 16
