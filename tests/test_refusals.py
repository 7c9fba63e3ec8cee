"""What cannot be meant is refused in one sentence before anything is prepared, in Python and at the command line."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_obscaling as bo
from bayes_obscaling.cli import options
from bayes_obscaling.errors import Notice
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS
from bayes_obscaling.evaluation.scoring import difference_in_words
from bayes_obscaling.inference.cache import open_cache
from bayes_obscaling.inference.limits import CHAINS, DRAWS, SEEDS, check_sampling
from bayes_obscaling.results import storage
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.stages import Settings

Run = Callable[..., tuple[int, str, str]]

TABLE = bo.load("base-llms", only="paper")
LADDER = bo.load("olmo-ladder", only="paper")
SIZES = [
    ({"draws": 10**9}, "draws is 1000000000"),
    ({"draws": 99}, "draws is 99"),
    ({"draws": 500.5}, "draws is 500.5"),
    ({"chains": 1}, "chains is 1"),
    ({"chains": 10**6}, "chains is 1000000"),
    ({"seed": -1}, "seed is -1"),
    ({"seed": 2**63}, "seed is 9223372036854775808"),
    ({"seed": float("nan")}, "seed is nan"),
]


@pytest.mark.parametrize(("sampling", "sentence"), SIZES)
def test_sizes_and_seeds_that_cannot_be_meant(sampling, sentence: str):
    for refused in (
        lambda: bo.fit(TABLE, "gsm8k_cot", **sampling),
        lambda: bo.fit(LADDER, **sampling),
        lambda: bo.ask.compare_factors(TABLE, **sampling),
        lambda: bo.ask.check_latent_compute(TABLE, **sampling),
        lambda: bo.ask.leave_models_out(TABLE, ["gsm8k_cot"], **sampling),
        lambda: bo.ask.single_family(TABLE, "Qwen1.5", "gsm8k_cot", **sampling),
        lambda: bo.study(TABLE, "gsm8k_cot", [1e22], "nowhere", **sampling),
    ):
        with pytest.raises(bo.InputError, match=sentence):
            refused()
    assert not Path("nowhere").exists()


def test_the_limits_themselves_are_possible():
    for limits in zip(CHAINS, DRAWS, SEEDS, strict=True):
        check_sampling(*limits)
    check_sampling(np.int64(4), np.int32(1000), np.uint8(3))
    with pytest.raises(bo.InputError, match="warmup"):
        Settings(warmup=10**7)


@pytest.mark.parametrize("flops", [0, -1e22, math.nan, math.inf, 1e14, 1e31, 10**400, "many"])
def test_compute_that_cannot_be_meant(flops, made_fit: CapabilityFit):
    for refused in (
        lambda: bo.fit(TABLE, "gsm8k_cot", cutoff=flops),
        lambda: bo.Split.by_flops(TABLE, flops),
        lambda: bo.ask.efficiency(made_fit, flops=flops),
        lambda: bo.forecast(made_fit, bo.Scenario(family="new", flops=flops)),
    ):
        with pytest.raises(bo.InputError, match=r"FLOPs|flops"):
            refused()


def test_a_published_cutoff_that_cannot_be_meant_is_placed(tmp_path: Path):
    scores, described = tmp_path / "mine.csv", tmp_path / "exam.csv"
    scores.write_text("Model,my_exam\nmeta-llama/Llama-2-7b-hf,0.4\n")
    described.write_text("benchmark,role,cutoff_flops\nmy_exam,task,84\n")
    with pytest.raises(bo.InputError, match=r"exam\.csv, row 2, column 'cutoff_flops': the cutoff is 84 FLOPs"):
        bo.read(scores, described, into=TABLE)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ("forecast --task gsm8k_cot --draws 1000000000", ["draws is 1000000000", "100000"]),
        ("forecast --task gsm8k_cot --seed -1", ["seed is -1"]),
        ("forecast --task gsm8k_cot --factors 9", ["--factors is 9", "1 to 8"]),
        ("forecast --task gsm8k_cot --cutoff-flops nan", ["--cutoff-flops is 'nan', not a number"]),
        ("forecast --task gsm8k_cot --family Llama-2 --flops 1e300", ["--flops is 1e+300", "1e+30"]),
        ("forecast --task gsm8k_cot --family Lama --flops 1e25", ["Lama", "did you mean"]),
        ("forecast --task gsm8k_cot --save-fit .", ["folder"]),
        ("forecast --task MMLU --drift none --family new --flops 1e25 --date 2025-01", ["--date", "--drift"]),
        ("forecast --task MMLU --date 2025-01", ["--date", "--family"]),
        ("forecast --task MMLU --family new --flops 1e25 --date soon", ["'soon' is no date", "2024-01-31"]),
        ("forecast --task gsm8k_cot --as-of 2024-04 --cutoff-flops 1e22", ["--as-of", "--cutoff-flops"]),
        ("forecast --task gsm8k_cot --as-of 1999-04", ["the date '1999-04' is before 2000"]),
        ("backtest --task gsm8k_cot --as-of 2024-04 --cutoff-flops 1e22", ["--as-of", "--cutoff-flops"]),
        ("backtest --task gsm8k_cot --as-of 2018", ["No model was released before 2018-07-01"]),
        ("cutoffs --output study --task gsm8k_cot --as-of 2023:2024:1000000", ["1000"]),
        ("gain --before gsm8k_cot --after gsm8k_cot", ["Both scores are gsm8k_cot"]),
        ("gain --before gsm8k_direct --after gsm8k_cot --family Lama", ["Lama"]),
        ("efficiency --flops 1e3", ["--flops is 1000"]),
        ("efficiency --models no-such-model", ["no-such-model"]),
        ("efficiency --family Lama", ["Lama"]),
        ("latent-compute --widen 0", ["--widen is 0"]),
        ("select --task gsm8k_cot --budget 3 --method v-optimal --draws 500", ["v-optimal", "--draws"]),
        ("select --task gsm8k_cot --budget 3 --max-flops inf", ["--max-flops is 'inf', not a number"]),
        ("select --task gsm8k_cot --budget 3 --max-size nan", ["--max-size is 'nan'"]),
        ("ladder --target N=1e40,D=1e20", ["6e+60 FLOPs"]),
        ("ladder --compare --law compute", ["--compare does without --law"]),
        ("ladder --backtest --target N=7e9,D=4e12", ["--backtest does without --target"]),
        ("cutoffs --output study --task gsm8k_cot --cutoffs 1e2:1e3:4", ["--cutoffs is 100"]),
        ("cutoffs --output study --task gsm8k_cot --cutoffs 1e22:1e23:1000000", ["1000"]),
        ("cutoffs --output study --resume --draws 500", ["--draws"]),
        ("cutoffs --output study --task gsm8k_cot --cutoffs 1e22 --workers 0", ["0 worker processes"]),
        ("backtest --task gsm8k_cot --cutoff-flops 8.4e22 --output cells.csv", ["folder"]),
        ("forecast --task gsm8k_cot --draws many", ["--draws", "many"]),
        ("no-such-command", ["no-such-command"]),
    ],
)
def test_options_are_refused_in_one_sentence_and_nothing_is_written(
    arguments: str, fragments: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments.split())
    assert code == 2 and not out
    assert err.startswith("Error: ") and len(err.splitlines()) == 1
    for fragment in fragments:
        assert fragment in err
    assert list(tmp_path.iterdir()) == []


def test_what_is_read_is_never_written_over(made_fit: CapabilityFit, tmp_path: Path, run: Run):
    fit, scores = made_fit.save(tmp_path / "fit.nc"), tmp_path / "mine.csv"
    scores.write_text("Model,MMLU\nmeta-llama/Llama-2-7b-hf,0.4\n")
    before = fit.read_bytes(), scores.read_text()
    for arguments in (
        ("forecast", "--fit", fit, "--output", fit, "--family", "family-1", "--flops", "1e23"),
        ("efficiency", "--fit", fit, "--output", tmp_path / "." / "fit.nc"),
        ("diagnose", fit, "--output", fit),
        ("check", scores, "--output", scores),
        ("forecast", "--task", "MMLU", "--scores", scores, "--output", scores),
        ("forecast", "--task", "MMLU", "--output", tmp_path / "z.csv", "--save-fit", tmp_path / "z.csv"),
    ):
        code, _, err = run(*arguments)
        assert code == 2 and "are both" in err and "write to another file" in err, arguments
    assert (fit.read_bytes(), scores.read_text()) == before and len(list(tmp_path.iterdir())) == 2


def test_factors_have_the_limit_of_the_spec():
    bo.CapabilitySpec(n_factors=options._MOST_FACTORS)
    with pytest.raises(bo.InputError, match="n_factors"):
        bo.CapabilitySpec(n_factors=options._MOST_FACTORS + 1)


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.warns(Notice, match="nothing is kept"):
        assert open_cache(blocked) is None
    assert open_cache(None) is None

    def tables(**_: object) -> object:
        for _ in range(2):
            open_cache(blocked)
        return TABLE

    monkeypatch.setattr("bayes_obscaling.data.load_base_llms", tables)
    with warnings.catch_warnings():
        code, _, err = run("models")
    assert code == 0
    assert err.count("Warning: The cache folder") == 1


@pytest.fixture
def saved_by(made_fit: CapabilityFit, tmp_path: Path) -> Callable[[str], Path]:
    """Save a fit as another version of the package would."""

    def save(of_version: str) -> Path:
        versions = {**made_fit.provenance["versions"], "bayes_obscaling": of_version}
        other = dataclasses.replace(made_fit, provenance={**made_fit.provenance, "versions": versions})
        return other.save(tmp_path / "fit.nc")

    return save


def test_fits_of_other_versions(saved_by: Callable[[str], Path], run: Run):
    path = saved_by("999.1.0")
    with pytest.raises(bo.InputError, match=r"version 999\.1\.0"):
        bo.open(path)
    code, _, err = run("factors", "--fit", path)
    assert code == 2 and "999.1.0" in err and len(err.splitlines()) == 1
    path = saved_by("0.0.9")
    assert any("0.0.9" in note for note in bo.open(path).notes)
    code, _, err = run("factors", "--fit", path)
    assert code == 0 and err.count("Note: The fit was saved by version 0.0.9") == 1
    assert not any("saved by" in note for note in bo.open(saved_by(bo.__version__)).notes)


def test_a_fit_of_another_format(made_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as later:
        later.setattr(storage, "FORMAT", storage.FORMAT + 1)
        path = made_fit.save(tmp_path / "fit.nc")
    with pytest.raises(bo.InputError, match=f"has format {storage.FORMAT + 1}"):
        bo.open(path)


def test_new_columns_are_told_with_the_role_they_got():
    frame = pd.DataFrame(
        {"Model": ["meta-llama/Llama-2-7b-hf"], "my_exam": [0.4], "quiz": [0.5], "quiz_stderr": [0.01]}
    )
    table = bo.read(frame, into=TABLE, tasks=["my_exam"])
    (about,) = (note for note in table.notes if "quiz is new" in note)
    assert "taken for a task" in about and table.task_names[-2:] == ["my_exam", "quiz"]
    assert not any("taken for" in note for note in table.notes if note is not about)
    assert table.item_counts(["quiz"]).max().item() == 2500  # .5 * .5 / .01^2
    described = pd.DataFrame({"benchmark": ["my_exam", "quiz"], "role": ["task", "benchmark"]})
    table = bo.read(frame, described, into=TABLE)
    assert table.benchmark_names[-1] == "quiz" and not any("taken for" in note for note in table.notes)


def test_a_path_without_an_ending_is_a_folder(run: Run, tmp_path: Path):
    for folder in (tmp_path / "made", tmp_path):
        code, out, _ = run("tasks", "--output", folder)
        assert code == 0 and f"Wrote {folder / 'tasks.csv'}" in out
        assert list(pd.read_csv(folder / "tasks.csv")["name"])[:1]
    code, out, _ = run("models", "--json", "--output", tmp_path / "models.csv")
    assert len(json.loads(out)) == len(pd.read_csv(tmp_path / "models.csv"))


def test_help_names_the_baselines_as_the_output_does(run: Run):
    _, out, _ = run("backtest", "--help")
    assert all(f" {name}" in " ".join(out.split()) for name in BASELINES)
    _, out, _ = run("cutoffs", "--help")
    assert all(name in out for name in STUDY_METHODS)


def test_former_spellings_are_understood_but_not_shown(run: Run):
    assert "--model " not in run("efficiency", "--help")[1]
    code, _, err = run("efficiency", "--model", "no-such-model")
    assert code == 2 and "no-such-model" in err


def test_one_family_has_no_standard_error():
    assert difference_in_words(0.1, math.nan) == "difference +0.1000, no standard error: one family only"
    assert difference_in_words(-0.1, 0.02, 2) == "difference -0.10, standard error 0.02"


@pytest.mark.parametrize(
    "question",
    [
        lambda _: bo.forecast("base-llms"),
        lambda fit: bo.forecast(fit, 3),
        lambda fit: bo.forecast(fit, tasks=5),
        lambda _: bo.read(pd.DataFrame({"model": ["a"], "MMLU": [0.5]}), into="base-llms"),
        lambda _: bo.read([]),
        lambda _: bo.open(None),
    ],
)
def test_other_types_are_refused_in_python(question: Callable[[CapabilityFit], object], made_fit: CapabilityFit):
    with pytest.raises(bo.InputError):
        question(made_fit)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ("forecast -t MMLU --cutoff-flops 1.1e23 --family Llama-2 --flops 1e24 --date 2025-01", "has one date"),
        ("forecast -t MMLU --cutoff-flops 1.1e23 --family Llama-2 --flops 1e24 --effort high", "knows no efforts"),
        ("forecast -t MMLU --cutoff-flops 1.1e23 --models Llama-2-7b-hf --effort high", "knows no efforts"),
        ("forecast -t MMLU --family Llama-2 --size 8 --tokens 15", "give it in full, or as 7B or 15T"),
        ("reach -t MMLU --level 0.9 --family Llama-2 --date 2025-01 --cutoff-flops 1.1e23", "has one date"),
        ("efficiency --factors 3 --capability foo", "no capability 'foo'"),
        ("when --table frontier -t frontiermath_v2 --level 0.9 --trend-compute -1", "Compute cannot grow -1 times"),
        ("ladder --target N=7,D=4", "N is 7, so that the unit may be another"),
    ],
)
def test_what_no_fit_answers_is_refused_before_one_is_made(
    arguments: str, fragment: str, run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(options.AnswerOptions, "fitted", lambda *_: pytest.fail("a fit was asked for"))
    code, _, err = run(*arguments.split())
    assert code == 2 and fragment in " ".join(err.split())
