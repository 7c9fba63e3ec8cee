"""What the commands share: where they print, how they read tables, how they show progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayes_obscaling.analyses.finding import Finding
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.models.capability import CapabilitySpec
    from bayes_obscaling.results.fit import Fit

# A pipe or a file has no width: give tables the room they need. A terminal narrower than that gets fewer columns.
ROOM = 132
out = Console(width=None if sys.stdout.isatty() else ROOM)
err = Console(stderr=True)


def plain(text: str) -> str:
    """Text that holds no markup."""
    return text.replace("[", r"\[")


def check_destinations(*paths: Path | None) -> None:
    """Find out before a minute of sampling that a file cannot be written."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"{path} is a folder: give a file name.")
        if not path.parent.is_dir():
            raise InputError(f"The folder {path.parent} does not exist: make it, or write elsewhere.")
        place = path if path.exists() and not path.is_file() else path.resolve().parent  # devices are written directly
        if not os.access(place, os.W_OK):
            raise InputError(f"{path} cannot be written (no permission in {place}): write elsewhere.")


def user_table(
    task: list[str], scores: list[Path] | None, benchmarks: Path | None, models: str | None, all_models: bool
) -> ScoreTable:
    """Pick the bundled table that holds the tasks, merge the user's files, and keep the models to fit on."""
    from bayes_obscaling.data import load_base_llms, load_instruct_llms

    base, instruct = load_base_llms(), load_instruct_llms()
    table = base
    if all(base.find(name) is None and instruct.find(name) is not None for name in task):
        table = instruct
    if benchmarks is not None and not scores:
        raise InputError("--benchmarks describes columns of your own table: give that table with --scores.")
    bundled = set(table.models.index)
    before = table
    for file in scores or []:
        table = table.with_scores(file, benchmarks, tasks=tuple(task))
    if table is not before:
        for note in table.notes:
            err.print(f"Note: {plain(note)}", highlight=False, soft_wrap=True)
    if before is instruct or all_models:
        return table
    touched = set(table.models.index) - bundled
    if scores:
        known = before.scores.set_index(["model", "benchmark"])["score"]
        now = table.scores.set_index(["model", "benchmark"])["score"]
        changed = now[~(now.index.isin(known.index) & (known.reindex(now.index) == now))]
        touched |= set(changed.index.get_level_values("model"))
    facts = table.models
    keep = facts.index[(facts["cohort"] == "paper") | facts.index.isin([*touched, *named_models(table, models)])]
    return table.select(list(keep))


def named_models(table: ScoreTable, models: str | None) -> list[str]:
    """Canonical names from ``A,B``."""
    return [table.resolve_model(name.strip()) for name in (models or "").split(",") if name.strip()]


def spec_of(factors: int | None, curvature: bool, joint: bool) -> Any:
    """Spec with the options of the command line."""
    from bayes_obscaling.models.capability import CapabilitySpec

    chosen: dict[str, Any] = {}
    if factors is not None:
        chosen["n_factors"] = factors
    if curvature:
        chosen["compute_law"] = "box-cox"
    if joint:
        chosen["posterior"] = "joint"
    return CapabilitySpec(**chosen)


@contextmanager
def sampling_progress(label: str | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on standard error, one for each thing that is sampled, or one of that label; gives the function to tell."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err, transient=False) as bars:
        waiting = bars.add_task("preparing the sampler", total=None)
        rows: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            bars.update(waiting, visible=False)
            name = label or what
            if name not in rows:
                rows[name] = bars.add_task(name, total=total)
            bars.update(rows[name], completed=done, total=total)

        yield tell


def load_or_sample(
    saved: Path | None,
    clash: bool,
    table: Callable[[], ScoreTable],
    tasks: list[str] | None,
    *,
    cutoff: float | None,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
) -> Fit:
    """Load the saved fit, unless options that belong to a fit `clash` with it; or fit tasks, by default benchmarks."""
    if saved is not None:
        from bayes_obscaling.models.capability import CapabilitySpec
        from bayes_obscaling.results.fit import load_fit

        if clash or cutoff or spec != CapabilitySpec():
            raise InputError("--fit brings its own data, tasks and spec: leave out --task, --scores and the like.")
        return load_fit(saved)
    from bayes_obscaling.inference.cache import default_cache_dir
    from bayes_obscaling.inference.fitting import fit as sample

    scores = table()
    with sampling_progress() as tell:
        return sample(
            scores, tasks or scores.benchmark_names, cutoff=cutoff, spec=spec, chains=chains, draws=draws, seed=seed,
            cache=default_cache_dir(), progress=tell,
        )  # fmt: skip


def write(path: Path, content: bytes) -> None:
    """Write a file whole, or say in one sentence why not."""
    from bayes_obscaling.files import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): write elsewhere.") from error


def save_plot(draw: Callable[[], Any], path: Path) -> None:
    """Draw without a display and write the figure; `draw` returns an axes, or an array of them."""
    import io

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    buffer = io.BytesIO()
    figure = np.atleast_1d(draw()).flat[0].figure
    figure.savefig(buffer, format=path.suffix.lstrip("."), dpi=150, bbox_inches="tight")
    plt.close(figure)
    write(path, buffer.getvalue())


def check_plot(path: Path | None) -> None:
    """Refuse a plot file of a kind that cannot be drawn."""
    if path is not None and path.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"A plot cannot be written as {path.name}: use .png, .pdf or .svg.")


def print_table(table: pd.DataFrame, title: str, rows: int = 40) -> None:
    """Print the first rows of a table."""
    from rich.table import Table

    shown = Table(title=title or None, title_justify="left", header_style="bold", pad_edge=False, box=None)
    for name, column in table.items():
        shown.add_column(str(name), justify="right" if column.dtype.kind in "fi" else "left")
    for row in table.head(rows).itertuples(index=False):
        shown.add_row(*(_cell(value) for value in row))
    out.print(shown)
    if (more := len(table) - rows) > 0:
        out.print(f"{more} more rows: --output writes them all.", highlight=False)


def show_finding(
    finding: Finding, title: str, *, output: Path | None, plot: Path | None, as_json: bool, rows: int = 40
) -> None:
    """Print an answer (at most `rows` rows of its table), write its table and plot, and say what went wrong."""
    say = err if as_json else out
    if as_json:
        print(json.dumps(finding.as_dict(), indent=2))
    else:
        print_table(finding.table, title, rows)
    for sentence in finding.sentences:
        say.print(plain(sentence), highlight=False, soft_wrap=True)
    for problem in finding.problems:
        say.print(f"[bold red]Sampler:[/] {plain(problem)}", highlight=False, soft_wrap=True)
    if output is not None:
        write(output, finding.table.to_csv(index=False).encode())
    if plot is not None:
        save_plot(finding.plot, plot)
    for path in (output, plot):
        if path is not None:
            say.print(f"Wrote {path}", highlight=False)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if value != value:
            return ""
        return f"{value:.3g}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.3f}"
    return plain(str(value))
