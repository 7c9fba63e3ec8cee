"""Model ladders: runs of one recipe at several sizes and token counts, with task losses and accuracies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data.bundled import tables_folder
from bayes_obscaling.data.known import find_known, known_benchmarks
from bayes_obscaling.errors import InputError

SCORES = ("task_loss", "accuracy", "task_ce", "c4_loss")
# Chance level of tasks that a user need not describe.
_KNOWN_CHANCE = {
    "mmlu": 0.25,
    "hellaswag": 0.25,
    "arc_challenge": 0.25,
    "arc_easy": 0.25,
    "piqa": 0.5,
    "csqa": 0.2,
    "socialiqa": 1 / 3,
    "openbookqa": 0.25,
    "boolq": 0.5,
    "winogrande": 0.5,
}
# Tasks that ask what is known (school and science exams, trivia), under the names of `find_known` or in lower case.
# Recipes have moved them more than common sense or language: docs/explanation/choices/ladder-recipes.md.
_KNOWLEDGE = {"MMLU", "MMLU-Pro", "MMLU-Redux", "ARC-C", "ARC-E", "OpenBookQA", "SciQ", "GPQA", "MedQA", "MedMCQA"}
_KNOWLEDGE |= {"TriviaQA", "NaturalQuestions", "WebQuestions", "SimpleQA", "AGIEval"}
_KNOWLEDGE |= {"arc_challenge", "arc_easy", "openbookqa", "openbook_qa", "jeopardy", "bigbench_qa_wikidata"}
# Tokens per parameter of one Chinchilla: 20 (Hoffmann et al. 2022).
CHINCHILLA = 20.0
# Two runs whose sizes, or token counts, differ by less than this share are counted as one rung.
_SAME = 0.02


@dataclass(frozen=True, eq=False)
class Ladder:
    """Runs of one recipe, or of several.

    Attributes
    ----------
    runs : DataFrame
        Index ``run``; ``params`` (N), ``tokens`` (D), ``flops``; ``recipe`` where they are named; for the bundled one
        also ``role``: "ladder" are the 16 runs of the paper, "extra" the half-Chinchilla runs, reruns and 3.2B runs.
    tasks : DataFrame
        Index ``task``; ``chance``.
    values : DataFrame
        One row per run and task: ``run, task, accuracy`` (0..1; may be missing throughout), and where known
        ``task_loss`` (bits per byte, or any loss that falls to a positive limit), ``task_ce`` (cross-entropy over the
        answers) and ``c4_loss``.
    checkpoints : DataFrame, optional
        The same along training, with ``step`` and ``tokens``; the published point estimate reads them.
    notes : tuple of str
        What was assumed in reading.
    """

    runs: pd.DataFrame
    tasks: pd.DataFrame
    values: pd.DataFrame
    checkpoints: pd.DataFrame | None = None
    notes: tuple[str, ...] = field(default=())

    def matrix(self, column: str) -> np.ndarray:
        """One column of `values` as an array (runs, tasks); NaN where it is missing."""
        if column not in self.values:
            raise InputError(f"This ladder has no column {column}", f"its columns are {', '.join(self.values.columns)}")
        wide = self.values.pivot(index="run", columns="task", values=column)
        return wide.reindex(index=self.runs.index, columns=self.tasks.index).to_numpy(float)

    def select(self, runs: Sequence[str]) -> Ladder:
        """Return the ladder with some of its runs, in its own order."""
        keep = self.runs.index[self.runs.index.isin(list(runs))]
        checkpoints = self.checkpoints
        if checkpoints is not None:
            checkpoints = checkpoints[checkpoints["run"].isin(keep)]
        values = self.values[self.values["run"].isin(keep)]
        return Ladder(self.runs.loc[keep], self.tasks, values, checkpoints, self.notes)

    @property
    def sizes(self) -> list[float]:
        """Distinct sizes, smallest first; sizes within 2 % of each other are one rung."""
        return distinct(self.runs["params"])

    @property
    def recipe_of_runs(self) -> list[str]:
        """Recipe of every run; "" where the table does not name them."""
        named = self.runs["recipe"].astype(str) if "recipe" in self.runs else [""] * len(self.runs)
        return list(named)

    @property
    def recipes(self) -> tuple[str, ...]:
        """Recipes, first that of the run with most compute: the one that is forecast when nothing else is asked."""
        largest = int(np.argmax(self.runs["flops"].to_numpy(float)))
        named = self.recipe_of_runs
        return tuple(dict.fromkeys([named[largest], *named]))

    @property
    def feature(self) -> Literal["task_loss", "c4_loss", "none"]:
        """What can stand between compute and accuracy: the losses of tasks, one loss for all of them, or nothing."""
        if "task_loss" not in self.values:
            return "none"
        one = "c4_loss" in self.values and self.values["c4_loss"].equals(self.values["task_loss"].rename("c4_loss"))
        return "c4_loss" if one else "task_loss"

    @property
    def has_accuracy(self) -> bool:
        """Whether any accuracy is known."""
        return bool(self.scored_tasks)

    @property
    def scored_tasks(self) -> list[str]:
        """Tasks with an accuracy of any run."""
        scored = set(self.values.loc[self.values["accuracy"].notna(), "task"])
        return [str(task) for task in self.tasks.index if task in scored]

    def at_size(self, params: float) -> Ladder:
        """Return the runs of one size, within 2 %."""
        return self.select(list(self.runs.index[self._on_rung(params)]))

    def by_rung(self, values: np.ndarray) -> list[float]:
        """Mean over the runs of each size of a value per run, smallest first."""
        return [float(np.asarray(values)[self._on_rung(size)].mean()) for size in self.sizes]

    def _on_rung(self, params: float) -> np.ndarray:
        return (self.runs["params"] / params).between(1 - _SAME, 1 + _SAME).to_numpy()

    def below(self, params: float) -> Ladder:
        """Return the runs smaller than a size (those of the size itself, within 2 %, are left out)."""
        return self.select(list(self.runs.index[self.runs["params"] < params * (1 - _SAME)]))

    def check_rungs(self) -> None:
        """Refuse a ladder from which two exponents cannot be told.

        Raises
        ------
        InputError
            With fewer than 3 sizes or 3 token counts.
        """
        for what, count in (("size", len(self.sizes)), ("token count", len(distinct(self.runs["tokens"])))):
            if count < 3:
                raise InputError(
                    f"The ladder has {counted(count, what)}: a law in N and D needs at least 3 of each; add runs, or "
                    "leave out fewer."
                )

    @property
    def is_bundled(self) -> bool:
        """Whether these are runs of the bundled ladder."""
        facts = ["params", "tokens"]
        return self.runs[facts].equals(load_olmo_ladder("all").runs.reindex(self.runs.index)[facts])

    @property
    def data_hash(self) -> str:
        """SHA-256 of the runs, tasks and final values, whatever the order of rows."""
        digest = hashlib.sha256()
        for frame in (self.runs, self.tasks, self.values.set_index(["run", "task"])):
            digest.update(repr(frame.sort_index().reset_index().to_numpy(dtype=object).tolist()).encode())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Ladder({len(self.runs)} runs, {len(self.sizes)} sizes, {len(self.tasks)} tasks)"


def distinct(values: pd.Series) -> list[float]:
    """Sorted values, those within 2 % of the one before left out."""
    kept: list[float] = []
    for value in sorted(values):
        if not kept or value > kept[-1] * (1 + _SAME):
            kept.append(float(value))
    return kept


@lru_cache
def load_olmo_ladder(role: str = "ladder") -> Ladder:
    """Return the OLMo 2 model ladder (Bhagia et al. 2024) on its 8 headline tasks.

    Parameters
    ----------
    role : {"ladder", "all"}
        The 16 runs of the paper (190M to 1.3B at 1, 2, 5, 10 times Chinchilla's token count), or all 30: with
        half-Chinchilla runs, reruns, and the 3.2B runs.
    """
    if role not in ("ladder", "all"):
        raise ValueError(f"role is {role!r}; it must be 'ladder' or 'all'")
    folder = tables_folder() / "olmo_ladder"
    numbers = ["params", "tokens", "flops", "chance", *SCORES]
    # pandas 2 does not read floats exactly; Python does
    final = pd.read_csv(folder / "runs.csv", dtype=dict.fromkeys(numbers, str))
    final[numbers] = final[numbers].map(float)
    final = final[final["headline"]].replace({"task": {"mmlu_avg": "mmlu"}})
    checkpoints = pd.read_csv(folder / "checkpoints.csv.gz").replace({"task": {"mmlu_avg": "mmlu"}})
    runs = final.drop_duplicates("run").set_index("run")[["model", "params", "tokens", "flops", "role"]]
    order = [task for task in _KNOWN_CHANCE if task in set(final["task"])]
    tasks = final.drop_duplicates("task").set_index("task").loc[order, ["chance"]]
    whole = Ladder(runs, tasks, final[["run", "task", *SCORES]].reset_index(drop=True), checkpoints)
    return whole if role == "all" else whole.select(list(runs.index[runs["role"] == "ladder"]))


def known_chance(task: str) -> float:
    """Return the chance level of a task that is generally known, NaN for another."""
    usual = find_known(task)
    return _KNOWN_CHANCE.get(task.casefold(), float(known_benchmarks()[usual]["chance"]) if usual else np.nan)


def asks_what_is_known(task: str) -> bool:
    """Whether a task asks what is known (exams, trivia); False for a task that is not generally known."""
    return task.casefold() in _KNOWLEDGE or find_known(task) in _KNOWLEDGE
