"""Options that several commands share, each said once, and the groups in which commands take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from bayes_obscaling.cli.groups import Option, Options, names
from bayes_obscaling.cli.paths import (
    check_destination,
    check_file,
    check_folder,
    check_page,
    file_at,
    is_folder,
    make_folder,
    page_size,
)
from bayes_obscaling.cli.scores import TableOptions
from bayes_obscaling.cli.show import note, progress_bars, save_plot, show, write
from bayes_obscaling.cli.written import check_ending, table_bytes
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayes_obscaling.data import ScoreTable, Split
    from bayes_obscaling.models.spec import CapabilitySpec
    from bayes_obscaling.results.finding import Answer
    from bayes_obscaling.results.fit import CapabilityFit, LadderFit

# The limit of `CapabilitySpec`, which is not loaded to check an option.
_MOST_FACTORS = 8

OneKind = TypeVar("OneKind", "CapabilityFit", "LadderFit")


def flops(help: str) -> Option:
    """An option that takes training compute."""

    def check(flag: str, value: float) -> None:
        from bayes_obscaling.data.rules import check_flops

        check_flops(flag, value)

    return Option(help, read=_read, check=check)


def _read(flag: str, text: str) -> float:
    """A number with its unit, if it has one, as files may have it: 7e9, 7B, 15T."""
    from bayes_obscaling.data.numbers import amount

    return amount(flag, text, "3.6e25" if "flops" in flag else "7e9, 7B or 15T")


def positive(help: str) -> Option:
    """An option that takes a number of parameters or tokens."""

    def check(flag: str, value: float) -> None:
        from bayes_obscaling.data.rules import check_amount

        check_amount(flag, value)

    return Option(help, read=_read, check=check)


Tasks = Annotated[list[str] | None, names("--task", "-t", help="Task or benchmark:")]
Models = Annotated[list[str] | None, names("--models", help="Only these models:", old=("--model",))]
Cutoff = Annotated[float | None, flops("FLOPs above which task scores are hidden.")]
FromCompute = Annotated[bool, "Hide every score of the models that are forecast."]
Refit = Annotated[bool, "Sample anew where a fit that ships with the package would answer."]
Draws = Annotated[int, "Draws kept of each chain."]
AsJson = Annotated[bool, Option("Print everything as JSON.", ("--json",))]


@dataclass(frozen=True)
class Sampling(Options):
    """How long to sample."""

    panel = "Fit"

    chains: Annotated[int, "Chains."] = 4
    draws: Draws = 1000
    seed: Annotated[int, "Random seed."] = 0

    def check(self) -> None:
        """Refuse sizes and seeds that cannot be meant."""
        from bayes_obscaling.inference.limits import check_sampling

        check_sampling(self.chains, self.draws, self.seed)

    @property
    def says_how(self) -> bool:
        """Whether chains, draws or a seed were asked for: a fit that ships with the package has its own."""
        return bool({"--chains", "--draws", "--seed"} & set(self.given()))

    def about(self, table: ScoreTable | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Keywords of every function that fits, apart from those of `sampling`."""
        return {"chains": self.chains, "draws": self.draws, "seed": self.seed}

    @contextmanager
    def sampling(self, label: str | None = None, table: ScoreTable | None = None) -> Iterator[dict[str, Any]]:
        """Keywords of every function that fits; bars show how far it is, one of that label or one per stage.

        `table` says for which scores the spec is meant; default dense ones.
        """
        from bayes_obscaling.inference.cache import default_cache_dir

        with progress_bars(label) as progress:
            yield {**self.about(table), "cache": default_cache_dir(), "progress": progress}


@dataclass(frozen=True)
class FitOptions(Sampling):
    """What the capability model assumes, and how long to sample it."""

    factors: Annotated[int | None, "Number of latent capabilities, 1 to 8; default 4, of sparse tables 2."] = None
    compute_law: Annotated[
        Literal["log-linear", "box-cox", "size-and-data"] | None,
        "How capability grows with log compute: evenly, bent (as --curvature), or with tokens per parameter beside it.",
    ] = None
    curvature: Annotated[bool, "Let capability bend in log compute (Box-Cox law)."] = False
    curve: Annotated[
        Literal["asymmetric", "logistic"] | None,
        "How benchmarks level off: slowly, or logistic up to a learned ceiling, then without drift unless you ask.",
    ] = None
    drift: Annotated[
        Literal["none", "family", "model", "line", "walk"] | None,
        "Whether efficiency grows with the date of a family or model, along lines of families, or walks at random.",
    ] = None
    joint: Annotated[bool, "Joint posterior: task scores may bend the capabilities."] = False

    def check(self) -> None:
        """Refuse numbers that cannot be meant."""
        super().check()
        if self.factors is not None and not 1 <= self.factors <= _MOST_FACTORS:
            raise InputError(f"--factors is {self.factors}", f"give a whole number from 1 to {_MOST_FACTORS}")
        if self.curvature and self.compute_law not in (None, "box-cox"):
            raise InputError(f"--curvature is not the law {self.compute_law}", "leave one of them out")

    def spec(self, table: ScoreTable | None = None) -> CapabilitySpec:
        """What is believed of a table, default of a dense one."""
        from bayes_obscaling.models.spec import CapabilitySpec, spec_for

        chosen: dict[str, Any] = {} if self.factors is None else {"n_factors": self.factors}
        if self.curvature or self.compute_law is not None:
            chosen["compute_law"] = "box-cox" if self.curvature else self.compute_law
        if isinstance(self.drift, str):  # on `efficiency` it is a question
            chosen["drift"] = self.drift
        if self.joint:
            chosen["posterior"] = "joint"
        if table is not None and spec_for(table).cells == "sparse":
            return CapabilitySpec.frontier(**chosen, **({} if self.curve is None else {"curve": self.curve}))
        return CapabilitySpec.logistic(**chosen) if self.curve == "logistic" else CapabilitySpec(**chosen)

    def about(self, table: ScoreTable | None = None) -> dict[str, Any]:
        """Keywords of every function that fits, the spec among them."""
        return {**super().about(), "spec": self.spec(table)}


@dataclass(frozen=True)
class AnswerOptions(FitOptions):
    """As of `FitOptions`, for questions that a fit that ships with the package may answer."""

    refit: Refit = False

    def fitted(self, table: ScoreTable, names: Sequence[str], split: Split) -> CapabilityFit:
        """The fit of a table: one that ships with the package, one that the table joins, or else a new one."""
        from bayes_obscaling.inference.fit import fit_table
        from bayes_obscaling.inference.joining import fit_given
        from bayes_obscaling.inference.shipped import find_joinable, find_shipped

        spec = self.spec(table)
        if not self.refit and not self.says_how:
            if (found := find_shipped(table, names, split, spec)) is not None:
                return answers(found)
            if (joinable := find_joinable(table, names, split, spec)) is not None:
                note(f"capabilities come from the {_about_shipped(joinable)}; --refit samples them anew")
                with self.sampling(table=table) as how:
                    return fit_given(joinable, table, names, split=split, cache=how["cache"], progress=how["progress"])
        if not self.refit:
            why = "these chains, draws or seed" if self.says_how else "these data and spec"
            note(f"no fit that ships with the package has {why}: one is sampled, which takes minutes")
        with self.sampling(table=table) as how:
            return fit_table(table, names, split=split, **how)


def answers(shipped: OneKind) -> OneKind:
    """Return a fit that ships with the package, once it is said to be the one that answers."""
    from bayes_obscaling.inference.cache import default_cache_dir, open_cache

    open_cache(default_cache_dir())  # what is asked of a fit compiles as well
    note(f"from the {_about_shipped(shipped)}; --refit samples anew")
    return shipped


def _about_shipped(fit: CapabilityFit | LadderFit) -> str:
    """What a fit is that ships with the package."""
    made, sizes = fit.provenance, fit.draws.sizes
    of = f"{len(fit.ladder.runs)} runs" if hasattr(fit, "ladder") else f"{len(fit.table.models)} models"
    return (
        f"fit that ships with the package ({of}, {made['created'][:10]}, seed "
        f"{made['seed']}, {sizes['chain']} chains of {sizes['draw']} draws, sampler {fit.verdict})"
    )


@dataclass(frozen=True)
class SavedFit(Options):
    """A fit on disk, to be asked instead of making one."""

    panel = "Fit"

    fit: Annotated[Path | None, "Ask this saved fit, or one that ships by its name, instead of fitting."] = None

    def open(self, kind: type[OneKind], *groups: Options, **given: Any) -> OneKind:
        """Open the saved fit; options of `groups`, and others by name, that were given beside it are refused."""
        from bayes_obscaling.results.storage import open_as

        clash = [flag for group in groups for flag in group.given()]
        if clash := clash + [f"--{name.replace('_', '-')}" for name, value in given.items() if value]:
            raise InputError(f"--fit brings its own data, tasks and spec: leave out {', '.join(clash)}.")
        from bayes_obscaling.inference.cache import default_cache_dir, open_cache
        from bayes_obscaling.inference.shipped import fit_file

        open_cache(default_cache_dir())  # what is asked of a fit compiles as well
        file = fit_file(self.fit or "")
        opened = open_as(file, kind, self.fit)
        if file != self.fit:
            note(f"the {_about_shipped(opened)}")
        for text in opened.notes:
            note(text)
        return opened


@dataclass(frozen=True)
class KeptFit(SavedFit):
    """A fit on disk: to be asked instead of making one, or where to keep the new one."""

    save_fit: Annotated[Path | None, "Save the fit here (netCDF)."] = None

    def check(self) -> None:
        """Find out before a minute of sampling that the file cannot be written."""
        if self.save_fit is not None:
            check_file(self.save_fit)


@dataclass(frozen=True)
class TableOutputs(Options):
    """Where a table goes besides the screen."""

    panel = "Output"

    output: Annotated[
        Path | None, Option("Write the table here: .csv, .tsv, .json, .xlsx, or a folder.", ("--output", "-o"))
    ] = None
    as_json: AsJson = False

    def check(self) -> None:
        """Find out before a minute of sampling that a file cannot be written."""
        check_destination(self.output)
        if self.output is not None:
            check_ending(self.output)

    def write_table(self, table: pd.DataFrame) -> list[str]:
        """Write the table, if that was asked for; return the name of the file."""
        if self.output is None:
            return []
        file = file_at(self.output, ".csv")
        write(file, table_bytes(table, file.suffix))
        return [str(file)]


@dataclass(frozen=True)
class Outputs(TableOutputs):
    """Where an answer goes besides the screen."""

    plot: Annotated[Path | None, "Draw it here: a PNG, PDF or SVG, or a folder."] = None

    def check(self) -> None:
        """Find out before a minute of sampling that a file cannot be written."""
        super().check()
        check_destination(self.plot)
        if self.plot is not None and not is_folder(self.plot) and self.plot.suffix not in (".png", ".pdf", ".svg"):
            raise InputError(f"A plot cannot be written as {self.plot.name}: use .png, .pdf or .svg.")

    def check_one_task(self, task: Sequence[str] | None) -> None:
        """Refuse a plot of several tasks, or of all."""
        if self.plot is not None and (len(task or ()) > 1 or task == ["all"]):
            raise InputError("A plot shows one task: name one with --task.")

    def write(self, answer: Answer) -> list[str]:
        """Write what was asked for; return the names of what was written."""
        return [*self.write_table(answer.to_dataframe()), *self.draw(answer)]

    def draw(self, answer: Answer) -> list[str]:
        """Draw the answer, if that was asked for; return the name of the file."""
        if self.plot is None:
            return []
        file = file_at(self.plot, ".png")
        save_plot(answer.plot, file)  # type: ignore[attr-defined]
        return [str(file)]


@dataclass(frozen=True)
class FolderOutputs(Outputs):
    """Where an answer goes that has several tables."""

    output: Annotated[
        Path | None, Option("Folder for cells.csv and scores.csv; made if need be.", ("--output", "-o"))
    ] = None

    def check(self) -> None:
        """Find out early that a file, or the folder, cannot be written."""
        if self.output is not None:
            check_folder(self.output)
        super().check()

    def write(self, answer: Answer) -> list[str]:
        """Write what was asked for; return the names of what was written."""
        if self.output is None:
            return self.draw(answer)
        make_folder(self.output)
        return [f"{answer.save(self.output) / 'cells.csv'} and scores.csv", *self.draw(answer)]


@dataclass(frozen=True)
class PageOutput(Options):
    """A page to look at, filter and send."""

    panel = "Output"

    report: Annotated[Path | None, "Write a page to look at, filter and send here (HTML)."] = None

    def check(self) -> None:
        """Find out before a minute of sampling that the page cannot be written."""
        if self.report is not None:
            check_page(self.report)

    def write_page(self, answer: Answer, **options: Any) -> list[str]:
        """Write the page of the answer, if that was asked for; return what was written. Options are of `report`."""
        if self.report is None:
            return []
        from bayes_obscaling.pages.page import report

        return [page_size(report(answer, self.report, **options))]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Question(Options):
    """What every question takes that fits a table: scores, spec, and where the answer goes."""

    table: TableOptions
    model: FitOptions
    outputs: Outputs

    def show(self, answer: Answer, title: str, rows: int = 40, least: Sequence[str] = ()) -> None:
        """Print, write and draw the answer."""
        show(answer, title, self.outputs, rows=rows, least=least)


@dataclass(frozen=True)
class FitQuestion(Question):
    """A question about one fit: new, saved or shipped."""

    model: AnswerOptions
    saved: SavedFit

    def fit(
        self,
        tasks: Sequence[str] | None = None,
        *,
        cutoff: float | None = None,
        check: Callable[[ScoreTable], object] = lambda _: None,
    ) -> CapabilityFit:
        """Open the saved fit, or fit the tasks (the benchmarks alone where there are none).

        `check` is told the table before anything is sampled, and refuses what cannot be asked of it.
        """
        if self.saved.fit is not None:
            from bayes_obscaling.results.fit import CapabilityFit
            from bayes_obscaling.results.forecast import tasks_of

            fitted = self.saved.open(CapabilityFit, self.table, self.model, cutoff_flops=cutoff)
            check(fitted.table)
            return replace(fitted, tasks=tuple(tasks_of(fitted, tasks))) if tasks else fitted
        if cutoff is not None and not tasks:
            raise InputError("--cutoff-flops hides task scores: name the tasks with --task.")
        from bayes_obscaling.inference.fit import split_of

        scores = self.table.load(tasks)
        check(scores)
        names, split = scores.resolve_all(tasks or scores.benchmark_names), split_of(scores, cutoff)
        fitted = self.model.fitted(scores, names, split)
        return replace(fitted, tasks=tuple(names)) if tasks else fitted  # one that ships holds more than was asked for
