"""Outputs of tools in the variants that are about: versions, places of the model's name, groups, further columns."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, read_scores


def combined(*choices: Any) -> list[tuple[Any, ...]]:
    return list(product(*choices))


def scores(table: ScoreTable, model: str) -> dict[str, float]:
    own = table.scores[table.scores["model"] == model]
    return dict(zip(own["benchmark"], own["score"].round(6), strict=True))


# --- lm-evaluation-harness ----------------------------------------------------------------------------------------

NAMED = {
    "arguments": {"config": {"model": "hf", "model_args": "pretrained=me/a-7b,dtype=auto"}},
    "a mapping": {"config": {"model": "hf", "model_args": {"pretrained": "me/a-7b"}}},
    "at the top": {"model_name": "me/a-7b", "config": {"model": "vllm"}},
    "a server": {"config_general": {"model_name": "me/a-7b"}},
}


def harness(suffix: str, named: str, *, with_groups: bool) -> dict[str, Any]:
    results: dict[str, Any] = {
        "mmlu": {f"acc{suffix}": 0.46, f"acc_stderr{suffix}": 0.004, "alias": "mmlu"},
        "hellaswag": {f"acc{suffix}": 0.57, f"acc_norm{suffix}": 0.76, f"acc_norm_stderr{suffix}": 0.004},
        "my_task": {f"acc{suffix}": 0.3, f"acc_stderr{suffix}": 0.02},
    }
    content: dict[str, Any] = {"results": results, **NAMED[named]}
    if with_groups:
        results["mmlu_stem"] = {f"acc{suffix}": 0.4, f"acc_stderr{suffix}": 0.01}
        content |= {"groups": {"mmlu": results["mmlu"]}, "group_subtasks": {"mmlu": ["mmlu_stem"]}}
    return content


@pytest.mark.parametrize(
    ("suffix", "named", "with_groups", "as_folder"), combined(("", ",none"), NAMED, (False, True), (False, True))
)
def test_results_of_the_harness(tmp_path: Path, suffix: str, named: str, with_groups: bool, as_folder: bool):
    folder = tmp_path / "me__a-7b"
    folder.mkdir()
    path = folder / "results_2026-01-01T00-00-00.json"
    path.write_text(json.dumps(harness(suffix, named, with_groups=with_groups)))
    table = read_scores(tmp_path if as_folder else path)
    assert scores(table, "me/a-7b") == {"MMLU": 0.46, "HellaSwag": 0.76, "my_task": 0.3} or scores(
        table, "me/a-7b"
    ) == {"mmlu": 0.46, "hellaswag": 0.76, "my_task": 0.3}
    assert table.scores["n_items"].notna().all()


# --- Inspect ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "model", "extra"),
    combined(
        ("inspect_evals/gpqa_diamond", "gpqa_diamond"),
        ("openai/gpt-x", "hf/me/a-7b", "gpt-x"),
        ({}, {"reductions": [], "plan": {"steps": []}}),
    ),
)
def test_logs_of_inspect(tmp_path: Path, task: str, model: str, extra: dict[str, Any]):
    metrics = {"accuracy": {"name": "accuracy", "value": 0.54}, "stderr": {"name": "stderr", "value": 0.0355}}
    log = {
        "version": 2,
        "status": "success",
        "eval": {"task": task, "model": model, "created": "2026-01-01T00:00:00+00:00"},
        "results": {"total_samples": 198, "scores": [{"name": "choice", "metrics": metrics}]},
        **extra,
    }
    (tmp_path / "log.json").write_text(json.dumps(log))
    table = read_scores(tmp_path / "log.json")
    (name,) = table.models.index
    assert scores(table, name) == {"gpqa_diamond": 0.54} and model.endswith(name)


# --- leaderboards -------------------------------------------------------------------------------------------------

COLUMNS = {"IFEval": 0.2, "BBH": 0.37, "MATH Lvl 5": 0.015, "GPQA": 0.28, "MUSR": 0.36, "MMLU-PRO": 0.244}
CHANCE = {"GPQA": 0.25, "MMLU-PRO": 0.1}


@pytest.mark.parametrize(
    ("kind", "linked", "more"), combined(("raw", "raw and normalised"), (False, True), ("", ",Type,Hub License"))
)
def test_the_second_open_llm_leaderboard(tmp_path: Path, kind: str, linked: bool, more: str):
    header, cells = [], []
    for name, score in COLUMNS.items():
        header += [f"{name} Raw"] if kind == "raw" else [f"{name} Raw", name]
        low = CHANCE.get(name, 0.0)
        cells += [f"{score}"] if kind == "raw" else [f"{score}", f"{100 * max(0.0, (score - low) / (1 - low)):.4g}"]
    rows = []
    for i in range(3):
        shown = f'"<a href=""https://x.co/me/m{i}"">me/m{i}</a>"' if linked else f"me/m{i}"
        rows.append(",".join([shown, f"me/m{i}", *cells, *([",pretrained,mit"[1:]] if more else [])]))
    (tmp_path / "board.csv").write_text("\n".join([",".join(["Model", "fullname", *header]) + more, *rows]))
    found = scores(read_scores(tmp_path / "board.csv"), "me/m0")
    assert {name.removesuffix(" Raw"): score for name, score in found.items()} == COLUMNS


@pytest.mark.parametrize(
    ("mark", "win_rate", "model"),
    combined((",", "\t"), ("", "Mean win rate"), ("Model", "Model/adapter")),
)
def test_tables_of_helm(tmp_path: Path, mark: str, win_rate: str, model: str):
    header = [model, *([win_rate] if win_rate else []), "MMLU - EM", "BoolQ - EM", "MMLU - ECE (10-bin)"]
    row = ["me/a", *(["0.9"] if win_rate else []), "0.58", "0.886", "0.1"]
    (tmp_path / "helm.csv").write_text(f"{mark.join(header)}\n{mark.join(row)}\n")
    assert scores(read_scores(tmp_path / "helm.csv"), "me/a") == {"MMLU": 0.58, "BoolQ": 0.886}


@pytest.mark.parametrize(
    ("first", "extra", "mark"), combined(("Model", "Model Name"), ((), ("Organization",)), (",", "\t", ";"))
)
def test_tables_of_livebench(tmp_path: Path, first: str, extra: tuple[str, ...], mark: str):
    header = [first, *extra, "Global Average", "Reasoning Average", "Coding Average", "Mathematics Average"]
    rows = [[name, *(["X"] * len(extra)), "60", "70.5", "55", "50"] for name in ("me/a", "me/b")]
    (tmp_path / "live.csv").write_text("\n".join(mark.join(row) for row in (header, *rows)))
    found = scores(read_scores(tmp_path / "live.csv"), "me/a")
    assert found == {"LiveBench reasoning": 0.705, "LiveBench coding": 0.55, "LiveBench mathematics": 0.5}


@pytest.mark.parametrize(
    ("rating", "interval", "lab"),
    combined(("Score", "Rating", "Elo", "Arena Score"), ("", "95% CI"), ("", "Organization")),
)
def test_ratings_of_the_arena(tmp_path: Path, rating: str, interval: str, lab: str):
    header = ["Rank", "Model", rating, *([interval] if interval else []), "Votes", *([lab] if lab else [])]
    row = ["1", "x/a", "1286", *(["+3/-3"] if interval else []), "1000", *(["X"] if lab else [])]
    other = [row[0].replace("1", "2"), "x/b", "1264", *row[3:]]
    (tmp_path / "arena.csv").write_text("\n".join(",".join(cells) for cells in (header, row, other)))
    bounds = pd.DataFrame({"benchmark": ["Arena-Elo"], "lower": [0], "upper": [2000]})
    table = read_scores(tmp_path / "arena.csv", bounds)
    assert scores(table, "x/a") == {"Arena-Elo": 0.643} and table.chance("Arena-Elo") == 0.0


@pytest.mark.parametrize(
    ("score", "compute", "benchmark"),
    combined(
        ("mean_score", "Best score (across scorers)", "EM"), ("Training compute (FLOP)", ""), ("gpqa_diamond", "mmlu")
    ),
)
def test_tables_of_epoch(tmp_path: Path, score: str, compute: str, benchmark: str):
    header = ["Model version", score, "Release date", *([compute] if compute else []), "stderr"]
    rows = [[name, "0.86", "2025-08-07", *(["6.6e25"] if compute else []), "0.02"] for name in ("me/x", "me/y")]
    (tmp_path / f"{benchmark}.csv").write_text("\n".join(",".join(row) for row in (header, *rows)))
    table = read_scores(tmp_path / f"{benchmark}.csv")
    (found,) = scores(table, "me/x").items()
    assert found[0].casefold() == benchmark and found[1] == 0.86
    assert table.models.at["me/x", "date"] == "2025-08-07"
