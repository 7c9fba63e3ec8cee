"""factors, efficiency, latent-compute and anomalies on the command line, from a saved fit."""

from __future__ import annotations

import json

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def saved(tiny_fit, tmp_path_factory):
    return tiny_fit.save(tmp_path_factory.mktemp("capability") / "fit.nc")


def test_each_command_prints_writes_and_draws(saved, run, tmp_path):
    for command, word, column in (
        (["factors"], "anchor", "factor"),
        (["efficiency", "--family", "family-3"], "comes first", "quantity"),
        (["anomalies", "--task", "task-1"], "flagged ones first, then task-1", "tail"),
    ):
        table, plot = tmp_path / f"{command[0]}.csv", tmp_path / f"{command[0]}.png"
        code, out, _ = run(*command, "--fit", saved, "--output", table, "--plot", plot)
        assert code == 0
        assert word in out and "Sampler:" in out  # 400 draws are too few, and that is said
        assert column in pd.read_csv(table) and plot.stat().st_size > 5000


def test_models_are_expressed_in_flops_of_a_family(saved, run):
    code, out, _ = run("efficiency", "--fit", saved, "--model", "family-1-2", "--family", "family-3", "--json")
    assert code == 0
    (row,) = json.loads(out)["table"]
    assert row["model"] == "family-1-2" and row["q5"] < row["median"] < row["q95"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("factors", "--compare", "0:3"), "numbers of factors from 1 to 8"),
        (("factors", "--compare", "1:3", "--task", "gsm8k_cot"), "--compare fits anew"),
        (("efficiency", "--fit", "{fit}", "--capability", "speed"), "no capability 'speed'"),
        (
            ("efficiency", "--fit", "{fit}", "--model", "family-1-2", "--flops", "1e23"),
            "needs no reference compute",
        ),
        (("latent-compute", "--fit", "{fit}"), "FLOPs of every model are known"),
        (("factors", "--fit", "{fit}", "--no-future"), "goes with --compare"),
        (("factors", "--fit", "{fit}", "--as-of", "2025-06-01"), "goes with --compare"),
        (("latent-compute", "--whole-families"), "go with --check"),
        (("latent-compute", "--check", "--widen", "2"), "--check fits anew"),
        (("latent-compute", "--table", "chat"), "no bundled table 'chat'"),
        (("anomalies", "--false-flags", "2"), "fraction between 0 and 1"),
        (("anomalies", "--fit", "{fit}", "--task", "gsm8k_cot"), "no benchmark or task 'gsm8k_cot'"),
        (("anomalies", "--fit", "{fit}", "--cutoff-flops", "1e22"), "--fit brings its own"),
        (("anomalies", "--cutoff-flops", "8e22"), "name the tasks"),
        (("factors", "--fit", "missing.nc"), "no file missing.nc"),
        (("factors", "--fit", "{fit}", "--plot", "a.gif"), "cannot be written as a.gif"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(saved, run, arguments, message):
    code, out, err = run(*(str(saved) if a == "{fit}" else a for a in arguments))
    assert code == 2
    assert message in err and "Traceback" not in err + out
