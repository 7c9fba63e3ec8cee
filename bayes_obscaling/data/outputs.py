"""Outputs of evaluation tools as rows of scores: what each tool calls a model, a benchmark, a score and its error.

Read are results of lm-evaluation-harness (``results_*.json``, of old and new versions), logs of Inspect (``.eval`` or
JSON), tables of HELM in JSON, and entries of the Open LLM Leaderboard as its server gives them. `recognised` is told
the parsed JSON and gives a frame with the columns model, benchmark, score, and stderr, n_items, params where known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bayes_obscaling.data.known import bare, metric_of

Output: TypeAlias = tuple[pd.DataFrame, list[str]]

# Metrics of the harness that are scores from 0 to 1, in the order of choice where a benchmark has no usual one.
_METRICS = (
    "acc",
    "exact_match",
    "pass@1",
    "acc_norm",
    "em",
    "f1",
    "mc2",
    "prompt_level_strict_acc",
    "accuracy",
    "mean",
)
_FILTERS = ("none", "strict-match", "custom-extract", "get-answer", "remove_whitespace", "flexible-extract", "")
_MOST_NAMED = 6


def recognised(content: Any, stem: str = "") -> Output | None:
    """Return the scores in the output of a tool and what was understood, None where it is of no known tool.

    Parameters
    ----------
    content : object
        Parsed JSON.
    stem : str
        Name of the file without its ending, which names what the content leaves out.
    """
    if isinstance(content, dict):
        results = content.get("results")
        if isinstance(content.get("eval"), dict) and "status" in content:
            return _inspect(content)
        if isinstance(results, dict) and any(key in content for key in ("config", "configs", "config_general")):
            return _harness(content, results, stem)
        if isinstance(content.get("header"), list) and isinstance(content.get("rows"), list):
            return _helm(content)
    if isinstance(content, list) and content and all(_is_entry(one) for one in content):
        return _leaderboard(content)
    return None


def _rows(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), dtype=object)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame.dropna(axis="columns", how="all")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


# --------------------------------------------------------------------------------------------- lm-evaluation-harness


def _harness(content: dict[str, Any], results: dict[str, Any], stem: str) -> Output:
    """Read results of lm-evaluation-harness: one score per task, or per group where a group has one."""
    config = content.get("config") or content.get("config_general") or {}
    model = _harness_model(content, config) or stem
    everything = {**results, **(content.get("groups") or {})}
    chosen = {task: found for task, metrics in everything.items() if (found := _metric_of(task, metrics))}
    parts = _parts(content, chosen)
    samples, shots = content.get("n-samples") or {}, content.get("n-shot") or {}
    rows, by_metric, shown = [], {}, []  # type: ignore[var-annotated]
    for task, (metric, filtered, score, error) in chosen.items():
        if task in parts or task == "all":
            continue
        rows.append(
            {
                "model": model,
                "benchmark": _task_name(task),
                "score": score,
                "stderr": error,
                "n_items": _number((samples.get(task) or {}).get("effective")),
                "params": _number(config.get("model_num_parameters")) if isinstance(config, dict) else np.nan,
            }
        )
        by_metric.setdefault(f"{metric} ({filtered})" if filtered not in ("none", "") else metric, []).append(task)
        if isinstance(count := shots.get(task, _shots_in(task)), int):
            shown.append(f"{_task_name(task)} {count}")
    rows, merged = _with_old_mmlu(rows)
    metrics = "; ".join(f"{metric} of {_listed([_task_name(t) for t in tasks])}" for metric, tasks in by_metric.items())
    notes = [f"results of lm-evaluation-harness of {model}: {metrics}"] if rows else []
    counts = {task: (n.get("effective"), n.get("original")) for task, n in samples.items() if task in chosen}
    limited = [f"{_task_name(t)} {ran} of {of}" for t, (ran, of) in counts.items() if _number(ran) < _number(of)]
    notes += [f"only a part of the items was run (--limit): {_listed(limited)}"] * bool(limited)
    notes += [f"shots: {_listed(shown)}"] * bool(shown) + merged
    notes += [f"left aside: {len(parts)} parts of {', '.join(sorted(set(parts.values())))}"] * bool(parts)
    unread = [task for task in everything if task not in chosen and task != "all"]
    notes += [f"left aside: {_listed(unread)} (no score from 0 to 1)"] * bool(unread)
    return _rows(rows), notes


def _harness_model(content: dict[str, Any], config: Any) -> str:
    """Return the name of the model; it stands in one of several places."""
    config = config if isinstance(config, dict) else {}
    arguments = config.get("model_args") or ""
    if isinstance(arguments, dict):
        arguments = ",".join(f"{key}={value}" for key, value in arguments.items())
    named = re.search(r"(?:^|,)\s*(?:pretrained|model|model_name|path)=([^,]+)", str(arguments))
    name = content.get("model_name") or config.get("model_name") or (named and named[1]) or config.get("model") or ""
    return str(name).strip()


def _metric_of(task: str, metrics: Any) -> tuple[str, str, float, float] | None:
    """Choose the metric of a task by the convention of its benchmark: name, filter, score, standard error."""
    if not isinstance(metrics, dict):
        return None
    found = {}
    for key, value in metrics.items():
        metric, _, filtered = str(key).partition(",")
        if not metric.endswith("_stderr") and not np.isnan(_number(value)):
            found[metric, filtered] = _number(value)
    for metric in (metric_of(_task_name(task)), *_METRICS):
        for filtered in (*_FILTERS, *(other for _, other in found)):
            if (metric, filtered) in found:
                name = f"{metric}_stderr,{filtered}" if filtered else f"{metric}_stderr"
                return metric, filtered, found[metric, filtered], _number(metrics.get(name))
    return None


def _task_name(task: str) -> str:
    """Return a task's name without the tool in front and the shots behind: ``harness|arc:challenge|25``."""
    parts = task.split("|")
    return parts[1] if len(parts) > 2 else bare(task)


def _shots_in(task: str) -> int | None:
    parts = task.split("|")
    return int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else None


def _parts(content: dict[str, Any], chosen: dict[str, Any]) -> dict[str, str]:
    """Return the tasks that are parts of a group with a score of its own, each with that group."""
    groups = content.get("group_subtasks") or {}
    parts: dict[str, str] = {}

    def add(group: str, whole: str) -> None:
        for task in groups.get(group) or ():
            if task != whole and task not in parts:
                parts[task] = whole
                add(task, whole)

    for group in groups:
        if group in chosen and group not in parts:
            add(group, group)
    return {task: whole for task, whole in parts.items() if task in chosen and whole not in parts}


def _with_old_mmlu(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Average the subjects of MMLU, which old versions list without a group."""
    subjects = [row for row in rows if row["benchmark"].startswith("hendrycksTest-")]
    if not subjects:
        return rows, []
    scores = [row["score"] for row in subjects]
    errors = np.array([row["stderr"] for row in subjects])
    error = float(np.sqrt((errors**2).sum()) / len(errors))
    mean = {**subjects[0], "benchmark": "MMLU", "score": float(np.mean(scores)), "stderr": error, "n_items": np.nan}
    kept = [row for row in rows if row not in subjects]
    if len(subjects) < 57:
        return kept, [f"left aside: {len(subjects)} of the 57 subjects of MMLU, too few for its mean"]
    return [*kept, mean], [f"MMLU is the mean of its {len(subjects)} subjects"]


# ------------------------------------------------------------------------------------------------------ other tools


def _inspect(content: dict[str, Any]) -> Output:
    """Read a log of Inspect: one row per scorer's first metric."""
    facts = content["eval"]
    task = str(facts.get("task", "")).rpartition("/")[2]
    model = str(facts.get("model", ""))
    if content["status"] != "success":
        return _rows([]), [f"the run of {task} on {model} has the status {content['status']!r}"]
    scorers = (content.get("results") or {}).get("scores") or []
    rows, notes = [], []
    for scorer in scorers[:1]:
        metrics = {name: _number((metric or {}).get("value")) for name, metric in (scorer.get("metrics") or {}).items()}
        chosen = next((name for name in _METRICS[::-1] if name in metrics), next(iter(metrics), ""))
        error = next((metrics[name] for name in ("stderr", "bootstrap_stderr") if name in metrics), np.nan)
        rows.append({"model": model, "benchmark": task, "score": metrics.get(chosen), "stderr": error})
        notes.append(f"log of Inspect: {chosen} of {task} by {scorer.get('name')}")
    notes += [f"left aside: scorers {_listed([str(one.get('name')) for one in scorers[1:]])}"] * (len(scorers) > 1)
    return _rows(rows), notes


def _helm(content: dict[str, Any]) -> Output | None:
    """Read a table as HELM's server gives it; the cells hold their values beside what the page shows."""

    def value(cell: Any) -> object:
        return cell.get("value") if isinstance(cell, dict) else cell

    header = [str(value(cell)) for cell in content["header"]]
    rows = [[value(cell) for cell in row] for row in content["rows"]]
    if not rows or any(len(row) != len(header) for row in rows):
        return None
    frame = pd.DataFrame(rows, columns=header, dtype=object)
    frame.index += 1
    return frame, ["a table of HELM"]


def _is_entry(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("evaluations"), dict) and "model" in content


def _leaderboard(content: list[dict[str, Any]]) -> Output:
    """Read entries of the Open LLM Leaderboard; ``value`` is the raw score, the normalised one is left aside."""
    rows = []
    for entry in content:
        model = entry["model"]
        billions = _number((entry.get("metadata") or {}).get("params_billions"))
        for key, scored in entry["evaluations"].items():
            rows.append(
                {
                    "model": model.get("name") if isinstance(model, dict) else model,
                    "benchmark": scored.get("name") or key,
                    "score": _number(scored.get("value")),
                    "params": billions * 1e9,
                }
            )
    return _rows(rows), ["entries of the Open LLM Leaderboard: raw scores, normalised ones are left aside"]
