"""Many jobs, any machine: each finished one is stored on its own, so that nothing is computed twice.

A job runs in this process, in local processes, or through any `concurrent.futures` executor. A worker answers with the
bytes of the file to store, or with what went wrong: it needs no disk of its own, its exceptions need not be picklable,
and a result reads the same whether it was computed here, elsewhere, or last week. Only this process writes.
"""

from __future__ import annotations

import re
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.parcels import Missing, Parcels, unpack
from bayes_obscaling.inference.store import RESUME, UNREADABLE, Result, Store, decode, encode
from bayes_obscaling.inference.workers import Watch
from bayes_obscaling.progress import Progress

JobFunction = Callable[[Any], Result]
OpenExecutor = Callable[[], AbstractContextManager[Executor]]

_UNKNOWN_WIDTH = 64  # jobs handed over at once to an executor that does not say how many workers it has
_FRUITLESS = 5  # executors in a row that broke before any job ended: the machine is at fault, not a job
_ONE_AT_A_TIME = threading.RLock()  # numpyro's effect handlers are global: never two fits in the threads of one process


@dataclass(frozen=True)
class Job:
    """One call of the job function: `key` is a hash of its content, `label` names it in messages."""

    key: str
    label: str
    arguments: Any

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{8,128}", self.key):
            raise InputError(
                f"The key of job {self.label!r} is {self.key!r}; give a hash of 8 to 128 lower-case hex digits."
            )


@dataclass(frozen=True)
class Outcome:
    """What came of the jobs, in their order.

    Attributes
    ----------
    results : dict
        Frame and facts of each job that has a result, by key.
    failures : dict
        Why each of the others has none, by key.
    notes : tuple of str
        What was mended on the way: damaged files, dead workers.
    resumed : int
        How many results were already stored.
    """

    results: dict[str, Result]
    failures: dict[str, str]
    notes: tuple[str, ...]
    resumed: int


class _Failure(NamedTuple):
    message: str
    traceback: str = ""


def run_jobs(
    function: JobFunction,
    jobs: Iterable[Job],
    store: Store,
    *,
    executor: Executor | OpenExecutor | None = None,
    progress: Progress = None,
    retries: int = 1,
    in_flight: int | None = None,
    shared: Any = None,
) -> Outcome:
    """Run the jobs that are not stored yet, and store each as soon as it has finished.

    Parameters
    ----------
    function : callable
        Called with a job's arguments, returns a frame and a dict of facts. A function of a module that the workers
        can import.
    jobs : iterable of Job
        Jobs with the same key are one job.
    store : Store
        Where finished jobs are kept; those found there are not run.
    executor : Executor or callable, optional
        None runs one job after the other, here. A callable that opens an executor, such as
        ``partial(local_processes, 4)`` or ``partial(connect, "tcp://host:8786")``, is called when there is something to
        run, and again when a worker has died: only then can jobs go on after that. Jobs in the threads of one process
        take turns, so give each Dask worker one thread.
    progress : callable, optional
        Called with the label of the job that has just ended, how many have ended, and how many there are.
    retries : int
        How often a job that was running when a worker died is run again, alone, on a newly opened executor.
    in_flight : int, optional
        Jobs handed to the executor at once. By default as many as it has workers, or 64 when it does not tell.
    shared : object, optional
        What the arguments of all jobs hold, such as a table; each worker is sent it once.

    Returns
    -------
    Outcome
        A job that raised, or that could not be run, is among the failures, and is tried again by the next run.

    Raises
    ------
    InputError
        When a result cannot be stored, or the executor cannot be opened.
    """
    run = _Run(jobs, store, progress, Parcels(shared))
    if run.todo:
        store.make_folder()
    if executor is None:
        while run.todo:
            job = run.todo.popleft()
            run.settle(job, _work(function, job.key, job.arguments))
    else:
        run.through(function, executor, retries, in_flight)
    results = {key: run.results[key] for key in run.jobs if key in run.results}
    failures = {key: run.failures[key] for key in run.jobs if key in run.failures}
    return Outcome(results, failures, tuple(run.notes), run.resumed)


class _Run:
    """The jobs of one call of `run_jobs`, and how far they are."""

    def __init__(self, jobs: Iterable[Job], store: Store, progress: Progress, parcels: Parcels):
        self.jobs = {job.key: job for job in jobs}
        self.store, self.progress, self.parcels = store, progress, parcels
        self.whole: set[str] = set()  # jobs that are sent with what all share
        self.results: dict[str, Result] = {}
        self.failures: dict[str, str] = {}
        self.notes: list[str] = []
        self.todo: deque[Job] = deque()
        self.losses: Counter[str] = Counter()  # how often a worker died while the job was in flight
        for job in self.jobs.values():
            if (found := store.load(job.key)) is not None:
                self.results[job.key] = found
                continue
            self.todo.append(job)
            if (path := store.path(job.key)).exists():
                self.notes.append(f"The stored result of {job.label} was damaged and is made anew ({path}).")
        self.resumed = len(self.results)

    def ended(self) -> int:
        return len(self.results) + len(self.failures)

    def settle(self, job: Job, answer: bytes | _Failure, *, quiet: bool = False) -> None:
        """Store what a job came to."""
        if isinstance(answer, bytes):
            try:
                result = decode(job.key, answer)
            except UNREADABLE as error:  # a worker with another version of this package
                answer = _failure(error)
            else:
                self.store.keep(job.key, answer)
                self.results[job.key] = result
        if isinstance(answer, _Failure):
            self.store.fail(job.key, *answer)
            self.failures[job.key] = answer.message
        if self.progress and not quiet:
            self.progress(job.label, self.ended(), len(self.jobs))

    def through(self, function: JobFunction, given: Executor | OpenExecutor, retries: int, width: int | None) -> None:
        """Run what there is to do; open the executor anew whenever it breaks, if it can be opened."""
        opened = fruitless = 0  # fruitless: executors in a row that broke before any job ended
        while self.todo:
            before = self.ended()
            with ExitStack() as stack:
                try:
                    pool = given if isinstance(given, Executor) else stack.enter_context(given())
                except InputError as error:
                    if not opened:
                        raise
                    return self.give_up(str(error))
                opened += 1
                lost, reason = self.feed(function, pool, width or int(getattr(pool, "_max_workers", _UNKNOWN_WIDTH)))
            if reason:
                fruitless = 0 if self.ended() > before else fruitless + 1
                go_on = not isinstance(given, Executor) and fruitless < _FRUITLESS
                labels = ", ".join(job.label for job in lost) or "no job"
                self.notes.append(f"Workers were lost with {labels}: {reason}")
                for job in lost:
                    self.losses[job.key] += 1
                    if go_on and self.losses[job.key] <= retries:
                        self.todo.append(job)  # last, and alone: if a worker dies then, it is this job's doing
                    else:
                        self.settle(job, _Failure(f"Its worker was lost ({reason}); {RESUME}"))
                if not go_on:
                    self.give_up(reason)
        return None

    def give_up(self, reason: str) -> None:
        """Record that the remaining jobs have no result."""
        while self.todo:
            self.settle(self.todo.popleft(), _Failure(f"Not finished ({reason}); {RESUME}"))

    def feed(self, function: JobFunction, pool: Executor, width: int) -> tuple[list[Job], str]:
        """Run jobs until none is left or the executor breaks: then the jobs that were lost, and the reason."""
        flying: dict[Future[bytes | _Failure | Missing], Job] = {}
        lost: list[Job] = []
        watch = Watch(pool)
        reason = ""
        try:
            while flying or (self.todo and not reason):
                while self.todo and not reason and len(flying) < (1 if self.losses[self.todo[0].key] else width):
                    job = self.todo.popleft()
                    try:
                        flying[pool.submit(_call, self.packed(function, job))] = job
                    except (RuntimeError, OSError) as error:  # broken, shut down, or no process can be started
                        reason = _describe(error)
                        self.todo.appendleft(job)
                    except Exception as error:  # it cannot be pickled
                        self.settle(job, _Failure(f"The job cannot be sent to a worker ({_describe(error)})."))
                done = wait(flying, watch.interval, FIRST_COMPLETED).done
                if not done and (gone := watch.gone()):
                    for future in flying:
                        future.cancel()
                    return [*lost, *flying.values()], gone
                for future in done:
                    try:
                        answer = future.result()
                    except (BrokenExecutor, CancelledError) as error:
                        reason = reason or _describe(error)
                        lost.append(flying[future])
                    except Exception as error:  # Dask: the job killed several workers, or they lack this package
                        self.settle(flying[future], _failure(error))
                    else:
                        self.take(flying[future], answer)
                    del flying[future]
        except BaseException:  # Ctrl-C, a full disk: keep what has finished
            for future in flying:
                future.cancel()
            for future, job in flying.items():
                with suppress(Exception):
                    if future.done() and not future.cancelled():
                        self.take(job, future.result(), quiet=True)
            raise
        return lost, reason

    def packed(self, function: JobFunction, job: Job) -> bytes:
        """A job as it is sent: without what all share, unless a worker has asked for that."""
        return self.parcels.pack((function, job.key, job.arguments), whole=job.key in self.whole)

    def take(self, job: Job, answer: bytes | _Failure | Missing, *, quiet: bool = False) -> None:
        """Store what a job came to, or have it sent again, whole."""
        if isinstance(answer, Missing):
            self.whole.add(job.key)
            self.todo.appendleft(job)
        else:
            self.settle(job, answer, quiet=quiet)


def _call(parcel: bytes) -> bytes | _Failure | Missing:
    """In a worker: run one job. It never raises, since not every exception can be sent back."""
    try:
        job = unpack(parcel)
    except Exception as error:
        return _failure(error)
    return job if isinstance(job, Missing) else _work(*job)


def _work(function: JobFunction, key: str, arguments: Any) -> bytes | _Failure:
    """Run one job: the bytes to store, or what went wrong."""
    try:
        with _ONE_AT_A_TIME:
            frame, facts = function(arguments)
        return encode(key, frame, facts)
    except (Exception, SystemExit) as error:
        return _failure(error)


def _failure(error: BaseException) -> _Failure:
    return _Failure(_describe(error), "".join(traceback.format_exception(error)))


def _describe(error: BaseException) -> str:
    if isinstance(error, CancelledError):
        return "the scheduler was lost, or cancelled the jobs"
    return f"{type(error).__name__}: {error}".removesuffix(": ")
