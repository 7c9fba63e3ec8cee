"""Workers of jobs: processes of this machine, or those of a Dask cluster."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.limits import check_workers

P = ParamSpec("P")
T = TypeVar("T")


class _LocalProcesses(ProcessPoolExecutor):
    """Spawned processes that each use their share of the cores, and end with the block that uses them."""

    def __init__(self, workers: int):
        super().__init__(workers, mp_context=get_context("spawn"), initializer=_start_worker)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        share = str(max(1, cores // workers))
        # XLA reads NPROC, Python 3.13 the last one; what the user has set is left alone.
        self._limits = {
            name: share for name in ("OMP_NUM_THREADS", "NPROC", "PYTHON_CPU_COUNT") if name not in os.environ
        }

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit; the processes are started in here and inherit the environment, which libraries read when imported."""
        os.environ.update(self._limits)
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            for name in self._limits:
                os.environ.pop(name, None)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        if kind is not None:  # leave at once: what still runs may take minutes
            for process in list((self._processes or {}).values()):
                process.terminate()
        return super().__exit__(kind, error, trace)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent of this new process, and end when the parent has ended, however it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def local_processes(workers: int) -> ProcessPoolExecutor:
    """Return worker processes on this machine (spawned: JAX and fork deadlock), each with its share of the cores.

    Use it as a context manager: left by an exception, it stops the processes without waiting for their jobs.
    """
    check_workers(workers)
    return _LocalProcesses(workers)


class _DaskWorkers(Executor):
    """The workers of a Dask cluster, which may all go while jobs wait: Dask itself would wait for new ones for ever."""

    def __init__(self, client: Any, patience: float):
        # pure, the same job, tried again, would be answered with its first failure
        self._client, self._pool, self.patience = client, client.get_executor(pure=False), patience

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._pool.submit(fn, *args, **kwargs)  # type: ignore[no-any-return]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def has_workers(self) -> bool:
        """Whether the scheduler knows a worker; a scheduler that does not answer knows none."""
        try:
            return bool(self._client.sync(self._client.scheduler.ncores, callback_timeout=self.patience))
        except Exception:  # OSError of many kinds, and what Dask makes of a closed connection
            return False


class Watch:
    """Looks now and then whether the workers of an executor are all gone; of executors that tell it themselves, never.

    Attributes
    ----------
    interval : float or None
        Seconds to wait for jobs before looking; None: for as long as it takes.
    """

    def __init__(self, pool: Executor):
        self._pool = pool if isinstance(pool, _DaskWorkers) else None
        self.interval = None if self._pool is None else min(5.0, self._pool.patience / 4)
        self._alone_since: float | None = None

    def gone(self) -> str:
        """Why no job will end any more; "" where one may."""
        if self._pool is None or self._pool.has_workers():
            self._alone_since = None
            return ""
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        waited = now - self._alone_since
        return f"the Dask cluster has had no worker for {waited:.0f} s" if waited >= self._pool.patience else ""


@contextmanager
def connect(scheduler: str, *, timeout: float = 10.0, patience: float = 60.0) -> Iterator[Executor]:
    """Use an existing Dask cluster, within a ``with`` block.

    Parameters
    ----------
    scheduler : str
        Address of its scheduler, ``tcp://HOST:PORT``. The package must be installed where its workers run.
    timeout : float
        Seconds that the scheduler has to answer, and then to show a worker.
    patience : float
        Seconds that jobs wait for a worker when the last one has gone.

    Raises
    ------
    InputError
        When distributed is not installed, or no scheduler or no worker is there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        remedy = "pip install 'bayes_obscaling[distributed]'"
        raise InputError(
            f"Running jobs on a Dask cluster needs the package distributed; install it: {remedy}."
        ) from error
    try:
        knock(scheduler, timeout)
        client = Client(scheduler, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:  # OSError includes TimeoutError
        raise InputError(
            f"No Dask scheduler answers at {scheduler!r} ({error}); check that it runs, and give its tcp://HOST:PORT."
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            start = f"dask worker {scheduler} --nthreads 1"
            raise InputError(f"The Dask scheduler at {scheduler} has no workers; start some: {start}.") from error
        yield _DaskWorkers(client, patience)
    finally:
        with suppress(Exception):  # a scheduler that has gone cannot be taken leave of
            client.close(timeout=timeout)


def knock(scheduler: str, timeout: float) -> None:
    """Wait until something listens at the address: a `Client` that could not start may block a later one."""
    where, end = urlsplit(scheduler), time.monotonic() + timeout
    if where.scheme not in ("tcp", "tls") or not where.hostname or not where.port:
        raise ValueError("not an address of that form")
    while True:
        try:
            return socket.create_connection((where.hostname, where.port), timeout).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
