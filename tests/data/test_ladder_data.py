"""Ladders as data: reading a user's own, and refusing what cannot be a ladder."""

import numpy as np
import pandas as pd
import pytest

import bayes_obscaling as bo
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
        read_ladder(wide.drop(columns=["task", "acc", "exam", "ARC", "loss"]))


def test_a_loss_and_an_accuracy_column_per_task(frame):
    wide = frame.assign(exam_acc=frame["acc"], exam_loss=frame["loss"], arc_loss=frame["loss"] * 1.1, step=range(9))
    ladder = read_ladder(wide.drop(columns=["task", "acc", "loss"]))
    assert list(ladder.tasks.index) == ["exam", "arc"] and ladder.feature == "task_loss"
    np.testing.assert_allclose(ladder.matrix("task_loss")[:, 1], 1.1 * frame["loss"])
    assert np.isnan(ladder.matrix("accuracy")[:, 1]).all()
    assert any("left aside: step" in note for note in ladder.notes)


def test_sizes_and_tokens_as_people_write_them(frame):
    words = frame.assign(N=["100M"] * 3 + ["300M"] * 3 + ["1B"] * 3, D=["1xC", "3xC", "10x C"] * 3)
    ladder = read_ladder(words)
    np.testing.assert_allclose(ladder.runs["params"], frame["N"])
    np.testing.assert_allclose(ladder.runs["tokens"], frame["D"])
    multiples = frame.drop(columns="D").assign(chinchilla=[1, 3, 10] * 3)
    np.testing.assert_allclose(read_ladder(multiples).runs["tokens"], frame["D"])


def test_what_is_measured_says_what_stands_between(frame):
    wide = frame.assign(hellaswag=frame["acc"], exam=frame["acc"]).drop(columns=["task", "acc"])
    assert read_ladder(frame).feature == "task_loss"
    assert read_ladder(wide).feature == "c4_loss"
    no_loss = read_ladder(wide.drop(columns="loss"))
    assert no_loss.feature == "none" and any("in one step" in note for note in no_loss.notes)
    loss_alone = read_ladder(wide[["N", "D", "loss"]])
    assert loss_alone.feature == "c4_loss" and not loss_alone.has_accuracy
    named = read_ladder(wide.rename(columns={"loss": "pile"}).assign(train_loss=1.0), loss="pile")
    assert np.array_equal(named.matrix("c4_loss")[:, 0], frame["loss"])
    with pytest.raises(InputError, match="a column 'pile', which was named as the loss"):
        read_ladder(wide, loss="pile")


def test_runs_of_two_recipes_may_share_a_name(frame):
    both = pd.concat([frame.assign(recipe="a"), frame.assign(recipe="b", loss=frame["loss"] * 0.98)])
    ladder = read_ladder(both.assign(run=[f"r{i}" for i in range(9)] * 2))
    assert len(ladder.runs) == 18 and ladder.recipes == ("a", "b") and ladder.recipe_of_runs.count("b") == 9


@pytest.mark.parametrize(
    ("spoil", "name", "level", "says"),
    [
        (lambda f: f, "rungs", "PASS", "3 sizes, 20 to 200 tokens per parameter"),
        (lambda f: f, "losses", "PASS", "they fall"),
        (lambda f: f[f["N"] < 9e8], "rungs", "FAIL", "2 sizes"),
        (lambda f: f.assign(N=f["N"] / 1e9), "rungs", "FAIL", "no run has more than 1 parameters, so that the unit"),
        (lambda f: f.assign(loss=f["loss"].where(f.index != 8, 9.0)), "losses", "REVIEW", "worse than a smaller run"),
        (lambda f: f.drop(columns="loss"), "losses", "REVIEW", "there is none"),
        (lambda f: f.assign(task="piqa"), "below chance", "REVIEW", "piqa: accuracies far below chance"),
        (lambda f: f.assign(task="piqa", acc=0.5), "at chance", "REVIEW", "piqa: no run is above chance"),
        (lambda f: f.assign(loss="low"), "readable", "FAIL", "'low' is not a number"),
        (lambda f: f, "flops", "PASS", "6 N D"),
        (lambda f: f.assign(flops=6 * f["N"] * f["D"] / 1e18), "flops", "FAIL", "1e-18 times 6 N D"),
        (lambda f: f.assign(flops=6 * f["N"] * f["D"] * ([1] * 8 + [4])), "flops", "REVIEW", "3 times more or fewer"),
        (lambda f: f.iloc[::3].assign(D=6e9), "rungs", "FAIL", "1 token count"),
    ],
)
def test_a_ladder_is_checked(frame, spoil, name, level, says):
    found = {check.check: check for check in bo.check(spoil(frame))}
    assert found[name].level == level and says in str(found[name])


def test_what_is_not_read_is_said(frame):
    long = read_ladder(frame.assign(score=0.5))
    assert any("left aside: score" in note for note in long.notes)
    wide = frame.drop(columns=["task", "acc"]).assign(exam=frame["acc"], quiz=frame["acc"], val_loss=frame["loss"] + 1)
    two = read_ladder(wide)
    assert np.array_equal(two.matrix("c4_loss")[:, 0], frame["loss"])
    assert any("another loss of the runs is left aside" in note for note in two.notes)
    named = read_ladder(wide.assign(arc_loss=1.0), loss="val_loss")
    assert list(named.tasks.index) == ["exam", "quiz"] and named.feature == "c4_loss"
    assert np.array_equal(named.matrix("task_loss")[:, 0], frame["loss"] + 1)


def test_missing_values_stay_missing(frame):
    frame.loc[2, "acc"] = np.nan
    accuracy = read_ladder(frame).matrix("accuracy")
    assert np.isnan(accuracy).sum() == 1 and np.isnan(accuracy[2, 0])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.drop(columns="D"), r"no column for D, the number of training tokens \(tokens or d\)"),
        (lambda f: f.drop(columns=["loss", "acc"]), "no column for a loss or an accuracy"),
        (lambda f: f.assign(D=20), "D, the number of training tokens, is 20 for 1e\\+08 parameters; give tokens"),
        (lambda f: f.assign(D="10.5.xC"), "'10.5.xC' is not a number"),
        (lambda f: f.assign(recipe=[""] + ["a"] * 8), "the recipe is empty"),
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
        (lambda f: f.assign(chinchilla=5), "but by chinchilla 1e[+]10; make them agree"),
        (
            lambda f: f[["D", "loss"]].assign(exam=f["acc"]),
            r"no column for N, the number of parameters \(params or n\)",
        ),
        (
            lambda f: f[["N", "D", "loss"]].assign(ARC=100 * f["acc"]),
            "row 1, column 'ARC': accuracy 30 of ARC is outside",
        ),
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
