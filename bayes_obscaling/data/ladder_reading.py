"""Reading a user's ladder: long or wide, with losses, accuracies or both, sizes and tokens as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from bayes_obscaling.data.checked import rank_correlation
from bayes_obscaling.data.ladder import CHINCHILLA, SCORES, Ladder, known_chance
from bayes_obscaling.data.sheet import Sheet, Source, no_column, read_sheet
from bayes_obscaling.errors import InputError

# What a column may be called, in lower case.
_NAMES = {
    "run": ("run", "model", "name"),
    "params": ("params", "n", "parameters", "size", "model_size", "n_params"),
    "tokens": ("tokens", "d", "n_tokens", "train_tokens"),
    "multiple": ("chinchilla", "chinchilla_multiple", "multiple", "xc"),
    "flops": ("flops", "c"),
    "recipe": ("recipe",),
    "task": ("task",),
    "task_loss": ("task_loss", "loss"),
    "accuracy": ("accuracy", "acc"),
    "task_ce": ("task_ce",),
    "c4_loss": ("c4_loss", "val_loss", "validation_loss", "valid_loss", "pretraining_loss", "eval_loss"),
    "chance": ("chance",),
}
# Columns of training logs that are no task's accuracy, in lower case.
_NO_TASKS = {
    "step",
    "steps",
    "seed",
    "lr",
    "learning_rate",
    "batch_size",
    "epoch",
    "epochs",
    "warmup",
    "width",
    "depth",
}
_NO_TASKS |= {"layers", "n_layers", "heads", "n_heads", "d_model", "role", "hours", "gpu_hours", "train_loss"}
# Endings of the columns of one task in a wide table.
_LOSS_OF = re.compile(r"^(.+?)[_ ./-](?:task_)?(?:loss|bpb|bits_per_byte)$", re.IGNORECASE)
_ACCURACY_OF = re.compile(r"^(.+?)[_ ./-](?:acc|accuracy)$", re.IGNORECASE)
# Tokens as a multiple of Chinchilla's: 5xC, 0.5x.
_MULTIPLE = re.compile(r"(\d+\.?\d*|\.\d+)\s*[x×]\s*c?(?:hinchilla)?", re.IGNORECASE)
# A number above 1 and below this under "accuracy" may be a loss; above, it is a percentage.
_LARGEST_LOSS = 5.0
# Two ways to say how many tokens there were may differ by less than this factor.
_OTHER_TOKENS = 1.5
# The one task of a table that names none.
ALL_TASKS = "all tasks"


def is_ladder(source: Source) -> bool:
    """Whether a file or frame has the columns of a ladder: N, D, a loss or an accuracy, and a task or runs."""
    try:
        columns = {column.strip().casefold() for column in read_sheet(source, "", "").columns}
    except InputError:  # said better by whoever reads it
        return False

    def has(*names: str) -> bool:
        return any(columns & set(_NAMES[name]) for name in names)

    named = {"n", "d"} <= columns
    results = has("task_loss", "accuracy", "c4_loss") or named
    one_per_run = has("task") or named or "run" in columns or has("multiple")
    return (
        has("params") and has("tokens", "multiple") and one_per_run and results and not columns & {"score", "benchmark"}
    )


def read_ladder(source: Source, *, loss: str = "") -> Ladder:
    """Read a ladder of your own: one row per run and task, final values; or one row per run, columns per task.

    Parameters
    ----------
    source : path or DataFrame
        Columns ``params`` (or ``N``; 1.3B is read), ``tokens`` (or ``D``; 100B is read, and 5xC as 100 tokens per
        parameter) or ``chinchilla`` (a multiple of 20 tokens per parameter), and ``task_loss`` (or ``loss``),
        ``accuracy`` (or ``acc``, 0..1), or both; optionally ``run``, ``recipe``, ``flops`` (default 6 N D), ``chance``,
        ``task_ce``, ``c4_loss``. With ``task`` there is a row per run and task. Without it, every other column of
        numbers is the accuracy of a task, ``arc_acc`` and ``arc_loss`` those of arc, and a loss that names no task is
        the run's.
    loss : str
        Column of the loss to read, where its name is not one of the usual, or there are several.

    Raises
    ------
    InputError
        When a column is missing, N or D is empty, a run stands twice for a task, an accuracy is outside 0..1, or loss
        and accuracy seem swapped; it names file, row and column.
    """
    return _assemble(*_rows(source, loss), curves=True)


def read_checkpoints(source: Source, *, loss: str = "") -> Ladder:
    """Read a run that is under way: as `read_ladder`, a row per checkpoint (and task), ``D`` the tokens until then."""
    return _assemble(*_rows(source, loss, named=False), curves=False)


def _rows(source: Source, loss: str, *, named: bool = True) -> tuple[Sheet, pd.DataFrame]:
    """The sheet as read, and a row per run and task; runs have the names in the sheet, or those of their N and D."""
    sheet = _renamed(read_sheet(source, "", ""), loss)
    at = _positions(sheet)
    _check_sizes(sheet, at)
    origins: dict[str, str] = {}
    if "task" not in at and "accuracy" not in at:
        sheet, origins = _by_task(sheet, at)
        at = _positions(sheet)
    elif aside := [name for i, name in enumerate(sheet.columns) if i not in at.values() and sheet.holds_numbers(i)]:
        sheet = replace(sheet, notes=(*sheet.notes, f"left aside: {', '.join(aside)}"))
    if "task" not in at:
        raise no_column(sheet, "task", "a column 'task', since a ladder has one row per run and task")
    _check_results(sheet, at)
    if not named:
        at.pop("run", None)
    frame = pd.DataFrame([_values(sheet, at, row, cells, origins) for row, cells in sheet.rows])
    if frame.empty:
        raise sheet.error("there is no row", "a ladder needs runs of at least 3 sizes")
    again = frame[frame.duplicated(["run", "task"])]
    if len(again):
        first = again.iloc[0]
        problem = f"run {first['run']} stands here a second time for task {first['task']}"
        raise sheet.error(problem, "give reruns a run name of their own, or remove the row", int(first["row"]))
    return sheet, frame


def _renamed(sheet: Sheet, loss: str) -> Sheet:
    """Call the column that was named the loss, and set other losses aside."""
    if not loss:
        return sheet
    if loss.casefold() not in [column.casefold() for column in sheet.columns]:
        raise no_column(sheet, loss, f"a column {loss!r}, which was named as the loss")
    losses = {*_NAMES["task_loss"], *_NAMES["c4_loss"]}
    kept = [
        i
        for i, name in enumerate(sheet.columns)
        if name.casefold() == loss.casefold() or not (name.casefold() in losses or _LOSS_OF.match(name))
    ]
    columns = ["task_loss" if sheet.columns[i].casefold() == loss.casefold() else sheet.columns[i] for i in kept]
    rows = [(row, [cells[i] for i in kept]) for row, cells in sheet.rows]
    return replace(sheet, columns=columns, rows=rows, notes=(*sheet.notes, f"the loss is column {loss!r}"))


def _positions(sheet: Sheet) -> dict[str, int]:
    """Return where the columns of a ladder stand."""
    at: dict[str, int] = {}
    for position, column in enumerate(sheet.columns):
        for name, spellings in _NAMES.items():
            if column.strip().casefold() in spellings and name not in at:
                at[name] = position
    return at


def _by_task(sheet: Sheet, at: dict[str, int]) -> tuple[Sheet, dict[str, str]]:
    """Return a sheet with a row per run and task from one with columns per task; each task's column of accuracies."""
    free = [i for i in range(len(sheet.columns)) if i not in at.values() and sheet.holds_numbers(i)]
    ignored = [i for i in free if sheet.columns[i].casefold() in _NO_TASKS]
    losses: dict[str, int] = {}
    accuracies: dict[str, int] = {}
    for i in (i for i in free if i not in ignored):
        of_loss, of_accuracy = _LOSS_OF.match(sheet.columns[i]), _ACCURACY_OF.match(sheet.columns[i])
        if of_loss:
            losses[of_loss[1]] = i
        else:
            accuracies[of_accuracy[1] if of_accuracy else sheet.columns[i]] = i
    tasks = list(dict.fromkeys([*accuracies, *losses]))
    if not tasks:
        if not {"task_loss", "c4_loss"} & set(at):
            raise sheet.error("there is no column 'task', and none with the accuracies of one", "add a column per task")
        tasks = [ALL_TASKS]
    kept = [i for name, i in at.items() if not (losses and name == "task_loss")]
    columns = [sheet.columns[i] for i in kept] + ["task", "accuracy"] + (["task_loss"] if losses else [])
    rows = []
    for task in tasks:
        places = [accuracies.get(task)] + ([losses.get(task)] if losses else [])
        for row, cells in sheet.rows:
            rows.append((row, [*(cells[i] for i in kept), task, *(None if i is None else cells[i] for i in places)]))
    notes = (*sheet.notes, *_said(sheet, accuracies, losses, ignored))
    origins = {task: sheet.columns[i] for task, i in accuracies.items()}
    return replace(sheet, columns=columns, rows=rows, notes=notes), origins


def _said(sheet: Sheet, accuracies: Iterable[str], losses: Iterable[str], ignored: list[int]) -> list[str]:
    parts = {
        "a column of accuracies per task": list(accuracies),
        "a column of losses per task": list(losses),
        "left aside": [sheet.columns[i] for i in ignored],
    }
    return [f"{what}: {', '.join(names)}" for what, names in parts.items() if names]


def _check_sizes(sheet: Sheet, at: dict[str, int]) -> None:
    """Refuse a table without sizes or tokens."""
    named = {"params": "N, the number of parameters", "tokens": "D, the number of training tokens"}
    for name, words in named.items():
        if name not in at and not (name == "tokens" and "multiple" in at):
            spelled = " or ".join(_NAMES[name][:2])
            raise sheet.error(f"there is no column for {words} ({spelled})", f"add it; {_columns(sheet)}")


def _check_results(sheet: Sheet, at: dict[str, int]) -> None:
    """Refuse a table without anything to fit."""
    if not {"accuracy", "task_loss", "c4_loss"} & set(at):
        raise sheet.error(
            "there is no column for a loss or an accuracy", f"add task_loss or accuracy; {_columns(sheet)}"
        )


def _columns(sheet: Sheet) -> str:
    return f"the columns are {', '.join(sheet.columns)}"


def _values(
    sheet: Sheet, at: dict[str, int], row: int, cells: list[object], origins: dict[str, str]
) -> dict[str, object]:
    """What one row says of a run and task; `origins` are the columns of tasks that have one of their own."""
    values: dict[str, object] = {"row": row, "task": sheet.text(cells[at["task"]])}
    if not values["task"]:
        raise sheet.error("the task is empty", "name it, or remove the row", row, sheet.columns[at["task"]])
    shown = {name: sheet.columns[position] for name, position in at.items()}
    shown["accuracy"] = origins.get(str(values["task"]), shown.get("accuracy", ""))
    for name in ("params", "flops", *SCORES, "chance"):
        if name in at:
            values[name] = sheet.number(row, shown[name], cells[at[name]])
    size = float(str(values["params"]))
    if not size > 0:
        problem = "N, the number of parameters, is missing or not positive"
        raise sheet.error(problem, "give it", row, sheet.columns[at["params"]])
    values["tokens"] = _tokens(sheet, at, row, cells, size)
    values.setdefault("accuracy", np.nan)
    if "task_loss" not in at and "c4_loss" in at:
        values["task_loss"] = values["c4_loss"]
    _check_values(sheet, row, shown, values)
    name = sheet.text(cells[at["run"]]) if "run" in at else ""
    values["run"] = name or f"{size:.4g}-{values['tokens']:.4g}"
    if "recipe" in at:
        values["recipe"] = sheet.text(cells[at["recipe"]])
        if not values["recipe"]:
            raise sheet.error("the recipe is empty", "name it", row, sheet.columns[at["recipe"]])
        # runs of two recipes may have one name
        values["run"] = f"{values['recipe']}: {values['run']}"
    return values


def _tokens(sheet: Sheet, at: dict[str, int], row: int, cells: list[object], size: float) -> float:
    """Training tokens of a row: a number, or a multiple of Chinchilla's for its size."""
    position = at.get("tokens", at.get("multiple", 0))
    column, cell = sheet.columns[position], cells[position]
    if multiple := _MULTIPLE.fullmatch(sheet.text(cell)):
        value = float(multiple[1]) * CHINCHILLA * size
    elif "tokens" in at:
        value = sheet.number(row, column, cell)
    else:
        value = sheet.number(row, column, cell) * CHINCHILLA * size
    if "tokens" in at and "multiple" in at:
        stated = sheet.number(row, sheet.columns[at["multiple"]], cells[at["multiple"]]) * CHINCHILLA * size
        if max(stated / value, value / stated) > _OTHER_TOKENS:  # sizes are counted with and without embeddings
            problem = f"D is {value:g}, but by {sheet.columns[at['multiple']]} {stated:g}"
            raise sheet.error(problem, "make them agree, or take one of the columns away", row, column)
    if not value > 0:
        raise sheet.error("D, the number of training tokens, is missing or not positive", "give it", row, column)
    if value < size / CHINCHILLA:
        problem = f"D, the number of training tokens, is {value:g} for {size:g} parameters"
        raise sheet.error(problem, "give tokens (100B), or a multiple of Chinchilla's (5xC)", row, column)
    return value


def _check_values(sheet: Sheet, row: int, shown: dict[str, str], values: dict[str, object]) -> None:
    accuracy, loss = (float(str(values.get(name, np.nan))) for name in ("accuracy", "task_loss"))
    if accuracy < 0 or accuracy > 1:
        if 0 <= loss <= 1 and 1 < accuracy < _LARGEST_LOSS:
            problem = f"loss {loss:g} and accuracy {accuracy:g} look swapped"
            raise sheet.error(problem, "exchange the two columns", row, shown["accuracy"])
        problem = f"accuracy {accuracy:g} of {values['task']} is outside 0..1"
        remedy = "write the fraction (45.2% is 0.452), or take the column away if it is no accuracy"
        raise sheet.error(problem, remedy, row, shown["accuracy"])
    if loss <= 0:
        column = shown.get("task_loss", shown.get("c4_loss"))
        raise sheet.error(f"loss {loss:g} is not positive", "correct it", row, column)


def _assemble(sheet: Sheet, frame: pd.DataFrame, *, curves: bool) -> Ladder:
    """The ladder of some rows; with `curves`, every task must have enough runs for one."""
    notes = [f"{sheet.name}: {text}" for text in sheet.notes]
    if _one_loss(frame):
        notes.append(f"{sheet.name}: every run has one loss for all tasks, which is read as c4_loss too")
        if "c4_loss" in frame and not frame["c4_loss"].equals(frame["task_loss"].rename("c4_loss")):
            notes.append(f"{sheet.name}: another loss of the runs is left aside (--loss names the one to read)")
        frame = frame.assign(c4_loss=frame["task_loss"])
    if "task_loss" not in frame:
        notes.append(f"{sheet.name}: there is no loss, so that accuracies follow size and tokens in one step")
    runs = frame.drop_duplicates("run").set_index("run")[["params", "tokens"]].copy()
    first_n, first_d = frame["run"].map(runs["params"]), frame["run"].map(runs["tokens"])
    disagree = frame[(frame["params"] != first_n) | (frame["tokens"] != first_d)]
    if len(disagree):
        first = disagree.iloc[0]
        problem = f"run {first['run']} has N and D that differ from its first row"
        raise sheet.error(problem, "one run has one size and one token count", int(first["row"]))
    given = frame.drop_duplicates("run").set_index("run")
    runs["flops"] = given["flops"] if "flops" in frame else np.nan
    runs["flops"] = runs["flops"].fillna(6 * runs["params"] * runs["tokens"])
    if "recipe" in frame:
        runs["recipe"] = given["recipe"]
    chance, of_chance = _chance(sheet, frame)
    ladder = Ladder(
        runs,
        pd.DataFrame({"chance": chance}).rename_axis("task"),
        frame[["run", "task", *(name for name in SCORES if name in frame)]].reset_index(drop=True),
        notes=(*notes, *of_chance),
    )
    if curves:
        _check_curves(sheet, ladder)
    return ladder


def _one_loss(frame: pd.DataFrame) -> bool:
    """Whether every run has one loss for all its tasks, of which there are several, or none is named."""
    if "task_loss" not in frame or frame["task_loss"].isna().all():
        return False
    several = frame["task"].nunique() > 1 or set(frame["task"]) == {ALL_TASKS}
    return several and bool((frame.groupby("run")["task_loss"].nunique() <= 1).all())


def _chance(sheet: Sheet, frame: pd.DataFrame) -> tuple[dict[str, float], list[str]]:
    """Chance level of every task, and notes about those that nobody knows."""
    chance, notes = {}, []
    for task in dict.fromkeys(frame["task"]):
        rows = frame[frame["task"] == task]
        given = rows["chance"].dropna() if "chance" in frame else pd.Series(dtype=float)
        chance[task] = float(given.iloc[0]) if len(given) else known_chance(task)
        if np.isnan(chance[task]):
            if rows["accuracy"].notna().any():
                notes.append(f"{sheet.name}: task {task} has no chance level; taken to be 0 (add a column chance)")
            chance[task] = 0.0
        elif not 0 <= chance[task] < 1:
            raise sheet.error(f"task {task} has chance {chance[task]:g}", "it must be a fraction from 0 to below 1")
    return chance, notes


def _check_curves(sheet: Sheet, ladder: Ladder) -> None:
    """Refuse tasks with too few runs, and losses and accuracies that are swapped."""
    compute = np.log(ladder.runs["flops"].to_numpy())
    accuracies = ladder.matrix("accuracy")
    losses = ladder.matrix("task_loss") if "task_loss" in ladder.values else np.zeros_like(accuracies)
    for task, loss, accuracy in zip(ladder.tasks.index, losses.T, accuracies.T, strict=True):
        has_accuracy = bool(np.isfinite(accuracy).any())
        seen = np.isfinite(loss) & (np.isfinite(accuracy) if has_accuracy else True)
        if seen.sum() < 3:
            what = " and ".join(["loss"] * ("task_loss" in ladder.values) + ["accuracy"] * has_accuracy)
            raise sheet.error(f"task {task} has {seen.sum()} runs with {what}", "a curve needs at least 3")
        rises = has_accuracy and rank_correlation(compute[seen], loss[seen]) > 0.5
        if rises and rank_correlation(compute[seen], accuracy[seen]) < -0.5:
            problem = f"on task {task} loss rises and accuracy falls with compute: the columns look swapped"
            raise sheet.error(problem, "exchange them")
