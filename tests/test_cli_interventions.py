"""gain, agents and single-family on the command line, from a saved fit or with the work replaced."""

from __future__ import annotations

import json

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def saved(tiny_fit, tmp_path_factory):
    return tiny_fit.save(tmp_path_factory.mktemp("interventions") / "fit.nc")


def test_gain_prints_writes_and_draws(saved, run, tmp_path):
    arguments = ("gain", "--before", "task-0", "--after", "task-1", "--fit", saved)
    table, plot = tmp_path / "gain.csv", tmp_path / "gain.png"
    code, out, _ = run(*arguments, "--family", "family-3", "--output", table, "--plot", plot)
    assert code == 0
    assert "Largest gain" in out and "family-3, up to" in out and "Sampler:" in out
    written = pd.read_csv(table)
    assert len(written) == 23 and written["probability_helps"].between(0, 1).all()
    assert plot.stat().st_size > 5000
    code, out, _ = run(*arguments, "--check", "--json")
    assert code == 0
    assert {"bayes", "no change", "mean gain", "pc-3"} <= {row["method"] for row in json.loads(out)["table"]}


def test_agents_hands_over_what_was_asked(run, monkeypatch, tmp_path):
    from bayes_obscaling import ask
    from bayes_obscaling.evaluation import left_out

    asked = {}

    def fake(table, tasks, **options):
        asked.update(options, tasks=tasks, models_in_table=len(table.models))
        frame = pd.DataFrame({"model": ["gpt-4-0613"], "median": [0.4]})
        return left_out.ModelsLeftOut(frame, ("One sentence.",))

    monkeypatch.setattr(ask, "leave_models_out", fake)
    code, out, _ = run(
        "agents", "--hold-out", "gpt-4-0613", "--shares", "0", "--whole-families", "-o", tmp_path / "a.csv"
    )
    assert code == 0 and "One sentence." in out and (tmp_path / "a.csv").exists()
    assert asked["models"] == ["gpt-4-0613"] and asked["shares"] == [] and asked["whole_families"]
    assert asked["models_in_table"] == 27 and asked["tasks"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gain", "--before", "task-0", "--after", "task-0", "--fit", "{fit}"), "Both scores are task-0"),
        (("gain", "--before", "task-0", "--after", "bench-0", "--fit", "{fit}"), "no task head for bench-0"),
        (
            ("gain", "--before", "task-0", "--after", "task-1", "--fit", "{fit}", "--cutoff-flops", "1e22"),
            "--fit brings its own",
        ),
        (
            ("gain", "--before", "task-0", "--after", "task-1", "--fit", "{fit}", "--check", "--family", "family-1"),
            "leave out --family",
        ),
        (("gain", "--before", "gsm8k_direct", "--after", "gsm8k_cto"), "gsm8k_cot"),
        (("agents", "--shares", "2"), "fractions below 1"),
        (("agents", "--hold-out", "gpt-5"), "no model 'gpt-5'"),
        (("agents", "--plot", "a.gif"), "cannot be written as a.gif"),
        (
            ("single-family", "--family", "Qwen9", "--task", "gsm8k_cot"),
            "no family 'Qwen9': did you mean Qwen",
        ),
        (("single-family", "--family", "Qwen1.5", "--task", "gsm8k_cot", "--counts", "x"), "such as 2,4"),
        (("single-family", "--family", "Qwen1.5", "--task", "gsm8k_cot", "--counts", "9"), "choose from 2, 3, 4, 5, 6"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(saved, run, arguments, message):
    code, out, err = run(*(str(saved) if a == "{fit}" else a for a in arguments))
    assert code == 2
    assert message in " ".join(err.split()) and "Traceback" not in err + out
