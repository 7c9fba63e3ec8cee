"""Model ladders: runs of one recipe at several sizes and token counts, with task losses and accuracies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd

from bayes_obscaling.data.bundled import tables_folder
from bayes_obscaling.data.known import find_known, known_benchmarks
from bayes_obscaling.data.sheet import Sheet, Source, no_column, read_sheet
from bayes_obscaling.errors import InputError

# What a column may be called, in lower case.
_NAMES = {
    "run": ("run", "model", "name"),
    "params": ("params", "n", "parameters"),
    "tokens": ("tokens", "d"),
    "flops": ("flops", "c"),
    "task": ("task",),
    "task_loss": ("task_loss", "loss"),
    "accuracy": ("accuracy", "acc"),
    "task_ce": ("task_ce",),
    "c4_loss": ("c4_loss", "val_loss", "validation_loss", "valid_loss", "pretraining_loss"),
    "chance": ("chance",),
}
_NEEDED = ("params", "tokens", "task", "task_loss", "accuracy")
_SCORES = ("task_loss", "accuracy", "task_ce", "c4_loss")
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
# A number above 1 and below this under "accuracy" may be a loss; above, it is a percentage.
_LARGEST_LOSS = 5.0
# Two runs whose sizes, or token counts, differ by less than this share are counted as one rung.
_SAME = 0.02


@dataclass(frozen=True, eq=False)
class Ladder:
    """Runs of one recipe.

    Attributes
    ----------
    runs : DataFrame
        Index ``run``; ``params`` (N), ``tokens`` (D), ``flops``; for the bundled ladder also ``role``: "ladder" are the
        16 runs of the paper, "extra" the half-Chinchilla runs, reruns and the 3.2B runs.
    tasks : DataFrame
        Index ``task``; ``chance``.
    values : DataFrame
        One row per run and task: ``run, task, task_loss`` (bits per byte, or any loss that falls to a positive limit),
        ``accuracy`` (0..1), and where known ``task_ce`` (cross-entropy over the answers) and ``c4_loss``.
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
        for what, count in (("sizes", len(self.sizes)), ("token counts", len(distinct(self.runs["tokens"])))):
            if count < 3:
                raise InputError(
                    f"The ladder has {count} {what}: a law in N and D needs at least 3 of each; add runs, or leave out "
                    "fewer."
                )

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
    numbers = ["params", "tokens", "flops", "chance", *_SCORES]
    # pandas 2 does not read floats exactly; Python does
    final = pd.read_csv(folder / "runs.csv", dtype=dict.fromkeys(numbers, str))
    final[numbers] = final[numbers].map(float)
    final = final[final["headline"]].replace({"task": {"mmlu_avg": "mmlu"}})
    checkpoints = pd.read_csv(folder / "checkpoints.csv.gz").replace({"task": {"mmlu_avg": "mmlu"}})
    runs = final.drop_duplicates("run").set_index("run")[["model", "params", "tokens", "flops", "role"]]
    order = [task for task in _KNOWN_CHANCE if task in set(final["task"])]
    tasks = final.drop_duplicates("task").set_index("task").loc[order, ["chance"]]
    whole = Ladder(runs, tasks, final[["run", "task", *_SCORES]].reset_index(drop=True), checkpoints)
    return whole if role == "all" else whole.select(list(runs.index[runs["role"] == "ladder"]))


def is_ladder(source: Source) -> bool:
    """Whether a file or frame has the columns of a ladder: N, D, a loss or an accuracy, and a task or runs."""
    try:
        columns = {column.strip().casefold() for column in read_sheet(source, "", "").columns}
    except InputError:  # said better by whoever reads it
        return False

    def has(name: str) -> bool:
        return bool(columns & set(_NAMES[name]))

    results = has("task_loss") or has("accuracy") or has("c4_loss")
    is_ladder = has("task") or {"n", "d"} <= columns or "run" in columns
    return has("params") and has("tokens") and is_ladder and results and not columns & {"score", "benchmark"}


def read_ladder(source: Source) -> Ladder:
    """Read a ladder of your own: one row per run and task, final values; or one row per run, a column per task.

    Parameters
    ----------
    source : path or DataFrame
        Columns ``params`` (or ``N``), ``tokens`` (or ``D``), ``task``, ``task_loss`` (or ``loss``), ``accuracy`` (or
        ``acc``, 0..1); optionally ``run``, ``flops`` (default 6 N D), ``chance``, ``task_ce``, ``c4_loss``. Without
        ``task``, ``task_loss`` is the loss of a run, and every other column the accuracy of a task. One loss for all
        tasks (``c4_loss``, ``val_loss``) will do.

    Raises
    ------
    InputError
        When a column is missing, N or D is empty, a run stands twice for a task, an accuracy is outside 0..1, or loss
        and accuracy seem swapped; it names file, row and column.
    """
    sheet = read_sheet(source, "", "")
    at = _positions(sheet)
    if "task" not in at and "accuracy" not in at and {"params", "tokens"} <= set(at):
        sheet = _by_task(sheet, at)
        at = _positions(sheet)
    if "task" not in at:
        raise no_column(sheet, "task", "a column 'task', since a ladder has one row per run and task")
    if "task_loss" not in at and "c4_loss" in at:
        at["task_loss"] = at["c4_loss"]
    if missing := [name for name in _NEEDED if name not in at]:
        spelled = "; ".join(f"{name} ({' or '.join(_NAMES[name])})" for name in missing)
        raise sheet.error(f"there is no column for {spelled}", f"add it; the columns are {', '.join(sheet.columns)}")
    rows = []
    for row, cells in sheet.rows:
        values: dict[str, object] = {"row": row, "task": sheet.text(cells[at["task"]])}
        if not values["task"]:
            raise sheet.error("the task is empty", "name it, or remove the row", row, sheet.columns[at["task"]])
        for name in ("params", "tokens", "flops", *_SCORES, "chance"):
            if name not in at:
                continue
            value = sheet.number(row, sheet.columns[at[name]], cells[at[name]])
            if name in ("params", "tokens") and not value > 0:
                what = {"params": "N, the number of parameters", "tokens": "D, the number of training tokens"}[name]
                raise sheet.error(f"{what}, is missing or not positive", "give it", row, sheet.columns[at[name]])
            values[name] = value
        _check_values(sheet, row, at, values)
        name = sheet.text(cells[at["run"]]) if "run" in at else ""
        values["run"] = name or f"{values['params']:.4g}-{values['tokens']:.4g}"
        rows.append(values)
    if not rows:
        raise sheet.error("there is no row", "a ladder needs runs of at least 3 sizes")
    frame = pd.DataFrame(rows)
    again = frame[frame.duplicated(["run", "task"])]
    if len(again):
        first = again.iloc[0]
        problem = f"run {first['run']} stands here a second time for task {first['task']}"
        raise sheet.error(problem, "give reruns a run name of their own, or remove the row", int(first["row"]))
    return _assemble(sheet, frame)


def _positions(sheet: Sheet) -> dict[str, int]:
    """Return where the columns of a ladder stand."""
    at: dict[str, int] = {}
    for position, column in enumerate(sheet.columns):
        for name, spellings in _NAMES.items():
            if column.strip().casefold() in spellings and name not in at:
                at[name] = position
    return at


def _by_task(sheet: Sheet, at: dict[str, int]) -> Sheet:
    """Return a sheet with a row per run and task from one with a column of accuracies per task."""
    tasks = [i for i in range(len(sheet.columns)) if i not in at.values() and sheet.holds_numbers(i)]
    kept = list(at.values())
    columns = [sheet.columns[i] for i in kept] + ["task", "accuracy"]
    rows = [
        (row, [*(cells[i] for i in kept), sheet.columns[task], cells[task]])
        for task in tasks
        for row, cells in sheet.rows
    ]
    if not rows:
        raise sheet.error("there is no column 'task', and none with the accuracies of one", "add a column per task")
    note = f"a column of accuracies per task: {', '.join(sheet.columns[i] for i in tasks)}"
    return Sheet(sheet.name, columns, rows, (*sheet.notes, note))


def _one_loss(frame: pd.DataFrame) -> bool:
    """Whether every run has one loss for all its tasks, of which there are several."""
    return frame["task"].nunique() > 1 and bool((frame.groupby("run")["task_loss"].nunique() <= 1).all())


def _check_values(sheet: Sheet, row: int, at: dict[str, int], values: dict[str, object]) -> None:
    accuracy, loss = float(str(values["accuracy"])), float(str(values["task_loss"]))
    if accuracy < 0 or accuracy > 1:
        if 0 <= loss <= 1 and 1 < accuracy < _LARGEST_LOSS:
            problem = f"loss {loss:g} and accuracy {accuracy:g} look swapped"
            raise sheet.error(problem, "exchange the two columns", row, sheet.columns[at["accuracy"]])
        problem = f"accuracy {accuracy:g} is outside 0..1"
        raise sheet.error(problem, "write the fraction (45.2% is 0.452)", row, sheet.columns[at["accuracy"]])
    if loss <= 0:
        raise sheet.error(f"loss {loss:g} is not positive", "correct it", row, sheet.columns[at["task_loss"]])


def _assemble(sheet: Sheet, frame: pd.DataFrame) -> Ladder:
    notes = [f"{sheet.name}: {text}" for text in sheet.notes]
    if _one_loss(frame):
        notes.append(f"{sheet.name}: every run has one loss for all tasks, which is read as c4_loss too")
        frame = frame.assign(c4_loss=frame["task_loss"])
    runs = frame.drop_duplicates("run").set_index("run")[["params", "tokens"]].copy()
    first_n, first_d = frame["run"].map(runs["params"]), frame["run"].map(runs["tokens"])
    disagree = frame[(frame["params"] != first_n) | (frame["tokens"] != first_d)]
    if len(disagree):
        first = disagree.iloc[0]
        problem = f"run {first['run']} has N and D that differ from its first row"
        raise sheet.error(problem, "one run has one size and one token count", int(first["row"]))
    given = frame.drop_duplicates("run").set_index("run")["flops"] if "flops" in frame else np.nan
    runs["flops"] = given
    runs["flops"] = runs["flops"].fillna(6 * runs["params"] * runs["tokens"])
    names = list(dict.fromkeys(frame["task"]))
    chance = {}
    for task in names:
        given_chance = (
            frame.loc[frame["task"] == task, "chance"].dropna() if "chance" in frame else pd.Series(dtype=float)
        )
        chance[task] = float(given_chance.iloc[0]) if len(given_chance) else _known_chance(task)
        if np.isnan(chance[task]):
            notes.append(f"{sheet.name}: task {task} has no chance level; taken to be 0 (add a column chance)")
            chance[task] = 0.0
        elif not 0 <= chance[task] < 1:
            raise sheet.error(f"task {task} has chance {chance[task]:g}", "it must be a fraction from 0 to below 1")
    columns = [name for name in _SCORES if name in frame]
    ladder = Ladder(
        runs,
        pd.DataFrame({"chance": chance}).rename_axis("task"),
        frame[["run", "task", *columns]].reset_index(drop=True),
        notes=tuple(notes),
    )
    compute = np.log(runs["flops"].to_numpy())
    for task, loss, accuracy in zip(names, ladder.matrix("task_loss").T, ladder.matrix("accuracy").T, strict=True):
        seen = np.isfinite(loss) & np.isfinite(accuracy)
        if seen.sum() < 3:
            raise sheet.error(f"task {task} has {seen.sum()} runs with loss and accuracy", "a curve needs at least 3")
        if _trend(compute[seen], loss[seen]) > 0.5 and _trend(compute[seen], accuracy[seen]) < -0.5:
            problem = f"on task {task} loss rises and accuracy falls with compute: the columns look swapped"
            raise sheet.error(problem, "exchange them")
    return ladder


def _known_chance(task: str) -> float:
    """Return the chance level of a task that is generally known, NaN for another."""
    usual = find_known(task)
    return _KNOWN_CHANCE.get(task.casefold(), float(known_benchmarks()[usual]["chance"]) if usual else np.nan)


def _trend(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation."""
    return float(pd.Series(x).corr(pd.Series(y), method="spearman")) if np.ptp(y) > 0 else 0.0
