"""Suites: the published questions, and some of our own, as lists of backtests to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bayes_obscaling.data import ScoreTable, Split, load_base_llms, load_frontier, load_instruct_llms
from bayes_obscaling.data.names import unknown
from bayes_obscaling.evaluation.backtest import (
    Backtest,
    backtest,
    baseline_cells,
    check_methods,
    judged_benchmarks,
    judged_models,
    observed_facts,
)
from bayes_obscaling.evaluation.baselines import IN_TIME, STANDARD
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.models.spec import spec_for

# The ten published tasks that count items, by their published cutoff.
EARLY_TASKS = ("word_unscrambling", "parsinlu_qa", "ipa_transliterate", "gsm8k_direct", "gsm8k_cot", "gsm8k_cot_sc")
ARITHMETIC_TASKS = ("arithmetic_3ds", "arithmetic_2dm", "arithmetic_3da", "arithmetic_2da")
PUBLISHED_CUTOFF = 8.4e22  # of the first six
# When the out-of-time suite looks ahead: at 40, 54, 74 and 80 of 97 models.
DATES = ("2023-07-01", "2023-11-01", "2024-03-01", "2024-05-01")
# When the frontier suite looks ahead: the first two were there while the model was chosen, the last was not.
FRONTIER_DATES = ("2025-06-01", "2025-11-01", "2026-03-01")
REVEALED = (1, 3, 5)  # scores of a new model
_MOST_NAMED = 13  # tasks of a question that are named before it is answered
_FEWEST_SCORES = 4  # of a model of which one may be hidden
FROM_COMPUTE_METHODS = ("mean", "compute", "family-logistic")


def suite(name: str) -> list[Question]:
    """Questions of a named suite.

    Parameters
    ----------
    name : {"published", "from-compute", "below-cutoff", "as-tasks", "out-of-time", "frontier"}
        "published": the setups of Ruan, Maddison and Hashimoto (2024): emergent tasks, post-training, agents.
        "from-compute": standard benchmarks forecast from family and FLOPs alone: D1, the largest model of each
        family; D2, all but the smallest of families of three or more; D3, whole families, a third of them at a time.
        "below-cutoff": inside the training data of the ten published count tasks, where settings may be chosen:
        earlier cutoffs (leave-future-out), and whole families, a quarter of them at a time. No score above the
        published cutoffs is seen or judged.
        "as-tasks": the standard benchmarks once more, each as a task of its own, from all of them: what becomes of an
        exam that is like a benchmark. A forecast that its own benchmark contradicts is too sure.
        "out-of-time": of the published models and those released later, what was released before each of `DATES` is
        learned from, and what came after is forecast: tasks from benchmarks, and benchmarks from family, FLOPs and
        date (which a fit reads when its efficiency drifts).
        "frontier": of the frontier table, at each of `FRONTIER_DATES`: everything of models released since is hidden;
        so is, in a second design, every score that was measured since; and at the second date one, three and five
        scores of each new model are revealed; last, a random tenth of all scores is hidden.

    Raises
    ------
    InputError
        For another name.
    """
    suites = {
        "published": _published,
        "from-compute": _from_compute,
        "below-cutoff": _below_cutoff,
        "as-tasks": _as_tasks,
        "out-of-time": _out_of_time,
        "frontier": _frontier,
    }
    if name not in suites:
        raise unknown("suite", name, suites)
    return suites[name]()


def _published() -> list[Question]:
    base, agents = load_base_llms("paper"), load_instruct_llms()
    facts = base.benchmarks
    post = [task for task in base.task_names if task.startswith(("gsm8k", "bbh"))]
    emergent = [task for task in base.task_names if task not in post]
    questions = []
    for setup, tasks, latent in (("emergent", emergent, False), ("post-training", post, True)):
        # A score that counts no items is fitted apart: asked for, it would join the pool of all others.
        groups = facts.loc[tasks].groupby(["cutoff_flops", facts.loc[tasks, "n_items"].notna()], sort=False)
        for (cutoff, _), group in groups:
            split = Split.by_flops(base, float(cutoff))
            questions.append(Question(base, tuple(group.index), split, setup, STANDARD, latent))
    for share in (0.1, 0.2):
        for task in agents.task_names:
            split = Split.by_score(agents, share, task)
            questions.append(Question(agents, (task,), split, f"agents, top {share:.0%}", STANDARD))
    return questions


def _from_compute() -> list[Question]:
    table = load_base_llms("paper")
    names = tuple(table.benchmark_names)
    known = table.models[table.models["flops"].notna()]
    families = list(dict.fromkeys(known["family"]))
    designs = [
        ("D1 largest of each family", Split.largest_of_family(table)),
        ("D2 all but the smallest", Split.largest_of_family(table, 3, all_but_smallest=True)),
        *(("D3 whole families", Split.by_family(table, families[i::3])) for i in range(3)),
    ]
    return [Question(table, names, split, setup, FROM_COMPUTE_METHODS, False) for setup, split in designs]


def _below_cutoff() -> list[Question]:
    table, methods = load_base_llms("paper"), (*FROM_COMPUTE_METHODS, "pc-3")
    families = table.models["family"]
    questions = []
    for tasks, published, earlier in (
        (EARLY_TASKS, PUBLISHED_CUTOFF, (0.8e22, 1.6e22, 4e22)),
        (ARITHMETIC_TASKS, 2.2e22, (0.26e22, 0.52e22, 1.25e22)),
    ):
        above = Split.by_flops(table, published).held_out
        below = [model for model in table.models.index if model not in above]
        for cutoff in earlier:
            split = Split.by_flops(table, cutoff)
            questions.append(Question(table, tasks, split, "leave-future-out", methods, False, published))
        names = list(dict.fromkeys(families[below]))
        for fold in range(4):
            out = tuple(model for model in below if families[model] in names[fold::4])
            split = Split(f"families {fold + 1} of 4", (*above, *out), cutoff=published)
            questions.append(Question(table, tasks, split, "families left out", methods, False, published))
    return questions


def _as_tasks() -> list[Question]:
    table = load_base_llms("paper")
    counted = table.benchmarks.loc[table.benchmark_names].dropna(subset="n_items")
    called = {name: f"{name} as a task" for name in counted.index}
    facts = counted.assign(role="task", aliases="").rename(index=called)
    scores = table.scores[table.scores["benchmark"].isin(counted.index)].replace({"benchmark": called})
    both = ScoreTable(table.models, pd.concat([table.benchmarks, facts]), pd.concat([table.scores, scores]))
    return [Question(both, tuple(facts.index), Split.by_flops(both, PUBLISHED_CUTOFF), "benchmarks as tasks", STANDARD)]


def _out_of_time() -> list[Question]:
    table, from_benchmarks = load_base_llms("later"), (*FROM_COMPUTE_METHODS, "size", "pc-1", "pc-2", "pc-3")
    counts_items = table.benchmarks.loc[table.task_names, "n_items"].notna()
    # A score that counts no items is fitted apart: asked for, it would join the pool of all others.
    groups = [list(counts_items.index[counts_items == wanted]) for wanted in (True, False)]
    questions = []
    for date in DATES:
        split = Split.by_date(table, date)
        for judged in (judged_models(table, tasks, split) for tasks in groups):
            able = tuple(task for task, models in judged.items() if models)
            questions.append(Question(table, able, split, "tasks from benchmarks", from_benchmarks))
        names, hidden = tuple(table.benchmark_names), Split.by_date(table, date, "all")
        questions.append(Question(table, names, hidden, "benchmarks from compute", FROM_COMPUTE_METHODS, False))
    return questions


def _frontier() -> list[Question]:
    table = load_frontier()
    released = [Split.by_date(table, date, "all") for date in FRONTIER_DATES]
    splits = [("released since", split) for split in released]
    splits += [("released or measured since", Split.by_vintage(table, date)) for date in FRONTIER_DATES]
    splits += [(f"{k} scores revealed", released[1].revealing(table, k)) for k in REVEALED]
    splits.append(("scores at random", _random_cells(table)))
    questions = []
    for label, split in splits:
        questions.append(Question(table, judged_benchmarks(table, split), split, label, tuple(IN_TIME)))
    return questions


def _random_cells(table: ScoreTable) -> Split:
    """A random tenth of the scores of models with four or more."""
    scores = table.scores
    many = scores[scores.groupby("model")["model"].transform("size") >= _FEWEST_SCORES]
    chosen = many.sample(frac=0.1, random_state=0)
    return Split(
        "a tenth of the scores at random", (), cells=tuple(zip(chosen["model"], chosen["benchmark"], strict=True))
    )


def run_suite(
    questions: Sequence[Question],
    *,
    tell: Callable[[str], object] = str,
    **options: Any,
) -> Backtest:
    """Backtest every question of a suite; `options` go to `backtest`.

    Returns
    -------
    Backtest
        All cells.
    """
    parts = []
    for number, q in enumerate(questions, 1):
        what = ", ".join(q.tasks) if len(q.tasks) <= _MOST_NAMED else f"{len(q.tasks)} tasks and benchmarks"
        tell(f"{number} of {len(questions)}: {q.label}, {what} ({q.split.name})")
        part = backtest(q.table, q.tasks, q.split, **q.options, **options)
        parts.append(replace(part, cells=q.judged(part.cells)))
    return Backtest.join(parts)


def score_baselines(questions: Sequence[Question], methods: Sequence[str], seed: int = 0) -> Backtest:
    """Score baselines alone on the questions of a suite: the cells that `run_suite` has of them, without our fits.

    Returns
    -------
    Backtest
        All cells, less ``distance`` and ``months_ahead``, which are told of what a fit leans on.

    Raises
    ------
    InputError
        For an unknown baseline.
    """
    check_methods(methods)
    parts = []
    for q in questions:
        has_trend = spec_for(q.table).unknown_compute == "trend"
        judged = judged_models(q.table, q.tasks, q.split, q.unknown_compute, has_trend)
        for task in q.tasks:
            facts = observed_facts(q.table, task, judged[task])
            for method in methods:
                cells = baseline_cells(method, q.table, task, q.split, facts, seed)
                parts.append(q.judged(cells.assign(setup=q.label, **q.split.cut)) if len(cells) else cells)
    return Backtest(pd.concat(parts, ignore_index=True))
