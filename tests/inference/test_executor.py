from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.errors import InputError
from bayes_obscaling.inference import executor as module
from bayes_obscaling.inference.executor import Job, Outcome, run_jobs
from bayes_obscaling.inference.store import Store
from bayes_obscaling.inference.workers import connect, knock, local_processes

HERE = Path(__file__).parent


def make_jobs(folder: Path, n: int, **options: Any) -> list[Job]:
    """Jobs 0 to n - 1; each notes in `folder` that it was called, and by which process."""
    folder.mkdir(exist_ok=True)
    arguments = [{"folder": folder, "n": i, **options} for i in range(n)]
    return [Job(hashlib.sha256(f"job {i}".encode()).hexdigest()[:32], f"job-{i}", a) for i, a in enumerate(arguments)]


def work(a: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What a job does: a table of awkward values; in between it may sleep, raise, or die."""
    n = a["n"]
    (a["folder"] / f"{n}-{os.getpid()}-{time.monotonic_ns()}").touch()
    sleep = a.get("sleep", 0.0)
    time.sleep(sleep.get(n, 0.0) if isinstance(sleep, dict) else sleep)
    if n == 0 and "after" in a:
        until(a["after"].exists)
    if n == a.get("raises"):
        raise InputError(f"The table of job {n} is empty; give one with rows.")
    if n == a.get("awkward"):
        raise AwkwardError(n, "reason")
    if n in a.get("dies", ()):
        until(lambda: all(path.exists() for path in a.get("outlives", ())))
        os.kill(os.getpid(), signal.SIGKILL)
    if n in a.get("dies_once", ()) and not (a["folder"] / f"died-{n}").exists():
        (a["folder"] / f"died-{n}").touch()
        os._exit(3)
    rng = np.random.default_rng(n)
    frame = pd.DataFrame(
        {
            "x": [*rng.standard_normal(3), np.nan, -np.inf],
            "name": [f"é{n}\n", "", "NaN", "\u2028", '"'],
            "count": np.array([2**62 + n, -1, 0, 1, 2]),
            "ok": [True, False, True, False, n % 2 == 0],
        }
    )
    return frame, {"n": n, "third": n / 3, "nan": float("nan"), "tags": ["a", None]}


class AwkwardError(Exception):
    """Cannot be unpickled, which breaks a process pool that is sent one."""

    def __init__(self, n: int, reason: str):
        super().__init__(f"{reason} {n}")


def calls(folder: Path) -> Counter[int]:
    return Counter(int(p.name.split("-")[0]) for p in folder.iterdir() if p.name[0].isdigit())


def processes(folder: Path) -> set[int]:
    return {int(p.name.split("-")[1]) for p in folder.iterdir() if p.name[0].isdigit()}


def table(outcome: Outcome) -> pd.DataFrame:
    return pd.concat([frame.assign(n=facts["n"]) for frame, facts in outcome.results.values()], ignore_index=True)


def assert_same(a: Outcome, b: Outcome) -> None:
    assert list(a.results) == list(b.results)
    assert repr([facts for _, facts in a.results.values()]) == repr([facts for _, facts in b.results.values()])
    pd.testing.assert_frame_equal(table(a), table(b), check_exact=True)


def until(true: Any) -> None:
    """Wait; a machine may be slow, so the limit only ends a test that would never end."""
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def serial(tmp_path: Path) -> Outcome:
    """What eight jobs come to, one after the other, in this process."""
    return run_jobs(work, make_jobs(tmp_path / "serial-calls", 8), Store(tmp_path / "serial"))


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    """Two processes for the tests that break nothing: starting them takes longer than the tests."""
    with local_processes(2) as pool:
        yield pool


# The store


def test_values_and_dtypes_come_back_exactly(store: Store):
    frame = pd.DataFrame(
        {
            "float64": [0.1, -0.0, 5e-324, np.nan, np.inf, -np.inf],
            "float32": np.array([0.1, 1e-45, 3.4e38, np.nan, np.inf, 1.0], dtype="float32"),
            "int64": [2**63 - 1, -(2**63), 0, 1, 2, 3],
            "uint64": np.array([2**64 - 1, 0, 1, 2, 3, 4], dtype="uint64"),
            "int8": np.array([-128, 127, 0, 1, 2, 3], dtype="int8"),
            "bool": [True, False] * 3,
            "str": ["", "NaN", "nan", "None", "é\u2028\x00", "x,\"'\n"],
            "object": pd.Series(["a", None, 1, True, 0.1, "b"], dtype=object),
        }
    )
    facts = {"rhat": 1.0049999999999999, "nan": float("nan"), "names": ["ü", None], "deep": {"flag": True, "n": 2**70}}
    store.save("ab12", frame, facts)
    again, facts_again = store.load("ab12")
    pd.testing.assert_frame_equal(again, frame, check_exact=True)
    assert again.dtypes.to_dict() == frame.dtypes.to_dict()
    assert again["float64"].to_numpy().tobytes() == frame["float64"].to_numpy().tobytes()  # -0.0 too
    assert [type(v) for v in again["object"]] == [str, type(None), int, bool, float, str]
    assert repr(facts_again) == repr(facts)
    assert [p.name for p in store.folder.iterdir()] == ["ab12.jsonl"]
    for line in store.path("ab12").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"x": np.array([], dtype="float32"), "s": ""})])
def test_frames_without_rows_keep_their_columns(store: Store, frame: pd.DataFrame):
    store.save("ab12", frame, {})
    pd.testing.assert_frame_equal(store.load("ab12")[0], frame, check_column_type=False, check_index_type=False)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1.0, 2.0]}, index=["a", "b"]),
        pd.DataFrame([[1.0, 2.0]], columns=["x", "x"]),
        pd.DataFrame({"x": pd.to_datetime(["2024-01-01"])}),
        pd.DataFrame({"x": pd.Categorical(["a"], categories=["a", "b"])}),
        pd.DataFrame({("a", "b"): [1.0]}),
        pd.DataFrame({"x": [(1, 2)]}),
    ],
)
def test_a_frame_that_would_change_is_refused(store: Store, frame: pd.DataFrame):
    with pytest.raises(TypeError, match="cannot be stored as JSON without a change"):
        store.save("ab12", frame, {})
    assert store.load("ab12") is None


@pytest.mark.parametrize("damage", ["truncated", "one byte", "empty", "text", "renamed", "other format", "binary"])
def test_a_damaged_file_is_noticed_and_made_anew(tmp_path: Path, store: Store, serial: Outcome, damage: str):
    jobs = make_jobs(tmp_path / "calls", 8)
    run_jobs(work, jobs, store)
    path = store.path(jobs[5].key)
    whole = path.read_bytes()
    at = whole.rindex(b"true")
    path.write_bytes(
        {
            "truncated": whole[:-20],
            "one byte": whole[: at - 20] + bytes([whole[at - 20] ^ 1]) + whole[at - 19 :],
            "empty": b"",
            "text": b"not a result\n",
            "renamed": store.path(jobs[4].key).read_bytes(),
            "other format": whole.replace(b'"format": 1', b'"format": 2'),
            "binary": bytes(range(256)),
        }[damage]
    )
    assert path.read_bytes() != whole
    assert store.load(jobs[5].key) is None
    outcome = run_jobs(work, jobs, store)
    assert calls(tmp_path / "calls") == {i: 1 + (i == 5) for i in range(8)}
    assert outcome.resumed == 7
    assert len(outcome.notes) == 1
    assert "job-5" in outcome.notes[0]
    assert "damaged" in outcome.notes[0]
    assert path.read_bytes() == whole
    assert_same(outcome, serial)


@pytest.mark.parametrize("key", ["../escape", "ABCDEF0123", "", "abc", "a" * 129])
def test_a_key_is_a_hash_and_nothing_else(key: str):
    with pytest.raises(InputError, match="hex"):
        Job(key, "label", ())


# Serial, processes, Dask


def test_resume_runs_only_what_is_missing(tmp_path: Path, store: Store, serial: Outcome):
    jobs = make_jobs(tmp_path / "calls", 8)
    seen: list[tuple[str, int, int]] = []
    run_jobs(work, jobs[2:5], store)
    outcome = run_jobs(work, [*jobs, jobs[0]], store, progress=lambda *a: seen.append(a))
    assert outcome.resumed == 3
    assert seen == [(f"job-{i}", done, 8) for done, i in enumerate([0, 1, 5, 6, 7], start=4)]
    assert calls(tmp_path / "calls") == dict.fromkeys(range(8), 1)
    assert_same(outcome, serial)

    def refuse() -> Executor:
        raise AssertionError("opened although there is nothing to run")

    assert_same(run_jobs(work, jobs, store, executor=refuse), serial)
    assert calls(tmp_path / "calls") == dict.fromkeys(range(8), 1)


def test_processes_give_the_same_as_one_process(tmp_path: Path, store: Store, serial: Outcome, pool: Executor):
    # The first job ends last: the order of the results is that of the jobs all the same.
    jobs = make_jobs(tmp_path / "calls", 8, after=store.path(make_jobs(tmp_path / "calls", 8)[7].key))
    seen: list[tuple[str, int, int]] = []
    outcome = run_jobs(work, jobs, store, executor=pool, progress=lambda *a: seen.append(a))
    assert_same(outcome, serial)
    assert [done for _, done, _ in seen] == list(range(1, 9))
    assert seen[7][0] == "job-0"
    assert len(processes(tmp_path / "calls")) == 2
    assert os.getpid() not in processes(tmp_path / "calls")


def environment(names: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, Any]]:
    return pd.DataFrame(), {name: os.environ.get(name) for name in names}


def test_each_process_is_given_its_share_of_the_cores(store: Store, monkeypatch: pytest.MonkeyPatch):
    for name in ("OMP_NUM_THREADS", "PYTHON_CPU_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NPROC", "7")  # what the user has set stays
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    names = ("OMP_NUM_THREADS", "PYTHON_CPU_COUNT", "NPROC", "JAX_ENABLE_X64", "JAX_PLATFORMS")
    job = Job("abcdef01", "environment", names)
    outcome = run_jobs(environment, [job], store, executor=partial(local_processes, 2))
    assert outcome.results["abcdef01"][1] == dict(zip(names, ["3", "3", "7", "1", "cpu"], strict=True))
    assert "OMP_NUM_THREADS" not in os.environ
    with pytest.raises(InputError, match="0 worker processes"):
        local_processes(0)


class Eager(Executor):
    """Runs a job when it is submitted, and keeps count of the futures that nobody has looked at."""

    def __init__(self) -> None:
        self.unread, self.most = 0, 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        self.unread += 1
        self.most = max(self.most, self.unread)
        return future


@pytest.mark.parametrize(("in_flight", "expected"), [(None, 64), (3, 3)])
def test_a_bounded_number_of_jobs_is_handed_over(tmp_path: Path, store: Store, in_flight: int | None, expected: int):
    pool = Eager()

    def read(*_: Any) -> None:
        pool.unread -= 1

    jobs = make_jobs(tmp_path / "calls", 80)
    outcome = run_jobs(work, jobs, store, executor=pool, in_flight=in_flight, progress=read)
    assert len(outcome.results) == 80
    assert pool.most == expected


def in_turn(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    (folder / "inside").touch(exist_ok=False)
    time.sleep(0.02)
    (folder / "inside").unlink()
    return pd.DataFrame(), {}


def test_threads_of_one_process_take_turns(tmp_path: Path, store: Store):
    jobs = [Job(f"{i:08x}", f"job-{i}", tmp_path) for i in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert run_jobs(in_turn, jobs, store, executor=pool).failures == {}


class Shared:
    """Notes in a folder each time it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        (self.folder / str(time.monotonic_ns())).touch()


def held(a: tuple[Shared, int]) -> tuple[pd.DataFrame, dict[str, Any]]:
    return pd.DataFrame(), {"n": a[1], "holds": a[0].folder.name}


def test_what_all_jobs_share_is_sent_once(tmp_path: Path, store: Store):
    shared = Shared(tmp_path)
    jobs = [Job(f"{i:08x}", f"job-{i}", (shared, i)) for i in range(6)]
    with ThreadPoolExecutor(1) as pool:
        outcome = run_jobs(held, jobs, store, executor=pool, shared=shared)
    assert [facts for _, facts in outcome.results.values()] == [{"n": i, "holds": tmp_path.name} for i in range(6)]
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 1


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """A Dask scheduler and its workers, each a process started from the command line."""

    def __init__(self) -> None:
        host, port = "127.0.0.1", free_port()
        self.address = f"tcp://{host}:{port}"
        self.members: list[subprocess.Popen[bytes]] = []
        self.start("scheduler", "--host", host, "--port", str(port), "--no-dashboard")

    def start(self, kind: str, *options: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": paths, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        self.members.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def start_worker(self) -> None:
        self.start("worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")

    def stop(self) -> None:
        for member in self.members:
            member.kill()
            member.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    cluster = Cluster()
    yield cluster
    cluster.stop()


def test_a_dask_cluster_gives_the_same_as_one_process(tmp_path: Path, store: Store, serial: Outcome, cluster: Cluster):
    knock(cluster.address, 300)  # it has started
    with (
        pytest.raises(InputError, match="has no workers; start some: dask worker tcp://127"),
        connect(cluster.address, timeout=2),
    ):
        pass
    cluster.start_worker()
    cluster.start_worker()
    jobs = make_jobs(tmp_path / "calls", 8, sleep=0.1, raises=2, dies=(6,), awkward=7)
    with connect(cluster.address, timeout=300) as pool:
        until(lambda: len(pool._client.nthreads()) == 2)
        # Two at a time, one for each worker: Dask blames whatever waits at a worker that dies, too.
        outcome = run_jobs(work, jobs, store, executor=pool, in_flight=2)
        assert list(outcome.failures) == [jobs[2].key, jobs[6].key, jobs[7].key]
        assert outcome.failures[jobs[2].key] == "InputError: The table of job 2 is empty; give one with rows."
        assert outcome.failures[jobs[6].key].startswith("KilledWorker: ")
        assert outcome.failures[jobs[7].key] == "AwkwardError: reason 7"
        assert len(processes(tmp_path / "calls")) >= 2
        # The same keys again, mended: nothing of the first attempt is remembered.
        before = calls(tmp_path / "calls")
        outcome = run_jobs(work, make_jobs(tmp_path / "calls", 8), store, executor=pool)
    assert calls(tmp_path / "calls") - before == {2: 1, 6: 1, 7: 1}
    assert_same(outcome, serial)


@pytest.mark.slow
def test_a_lost_dask_scheduler_leaves_failures_and_no_crash(tmp_path: Path, store: Store, cluster: Cluster):
    cluster.start_worker()
    jobs = make_jobs(tmp_path / "calls", 6, sleep={3: 60.0, 4: 60.0, 5: 60.0})

    def progress(_: str, done: int, __: int) -> None:
        if done == 3:
            cluster.members[0].kill()

    timeouts = iter([300.0, 1.0])
    outcome = run_jobs(
        work, jobs, store, executor=lambda: connect(cluster.address, timeout=next(timeouts)), progress=progress
    )
    assert list(outcome.results) == [job.key for job in jobs[:3]]
    assert list(outcome.failures) == [job.key for job in jobs[3:]]
    for message in outcome.failures.values():
        assert cluster.address in message
        assert "--resume" in message
    assert "scheduler was lost" in outcome.notes[0]


@pytest.mark.slow
def test_a_dask_cluster_that_loses_all_its_workers_is_not_waited_for(tmp_path: Path, store: Store, cluster: Cluster):
    cluster.start_worker()
    jobs = make_jobs(tmp_path / "calls", 4, sleep={1: 60.0, 2: 60.0, 3: 60.0})

    def progress(_: str, done: int, __: int) -> None:
        if done == 1:
            cluster.members[1].kill()

    timeouts = iter([300.0, 1.0])
    outcome = run_jobs(
        work,
        jobs,
        store,
        executor=lambda: connect(cluster.address, timeout=next(timeouts), patience=2.0),
        progress=progress,
        in_flight=1,
    )
    assert list(outcome.results) == [jobs[0].key] and list(outcome.failures) == [job.key for job in jobs[1:]]
    for job in jobs[2:]:  # the first is blamed for the worker's death
        message = outcome.failures[job.key]
        assert "has no workers; start some: dask worker" in message and "--resume" in message
    assert "the Dask cluster has had no worker for" in outcome.notes[0]


def test_no_scheduler_and_no_dask_say_what_to_do(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    jobs = make_jobs(tmp_path / "calls", 1)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "distributed", None)
        with pytest.raises(InputError, match=r"pip install 'bayes_obscaling\[distributed\]'"):
            run_jobs(work, jobs, store, executor=partial(connect, "tcp://127.0.0.1:1"))
    pytest.importorskip("distributed")
    for address in (f"tcp://127.0.0.1:{free_port()}", "nonsense://x", "tcp://127.0.0.1:port", "tcp://127.0.0.1"):
        with pytest.raises(InputError, match=f"No Dask scheduler answers at '{address}'"):
            run_jobs(work, jobs, store, executor=partial(connect, address, timeout=0.5))
    assert calls(tmp_path / "calls") == {}


# What goes wrong


@pytest.mark.parametrize("where", ["serial", "processes"])
def test_a_failing_job_is_named_and_tried_again(
    tmp_path: Path, store: Store, serial: Outcome, pool: Executor, where: str
):
    executor = None if where == "serial" else pool
    jobs = make_jobs(tmp_path / "calls", 8, raises=2, awkward=4)
    outcome = run_jobs(work, jobs, store, executor=executor)
    assert outcome.failures == {
        jobs[2].key: "InputError: The table of job 2 is empty; give one with rows.",
        jobs[4].key: "AwkwardError: reason 4",
    }
    assert list(outcome.results) == [job.key for i, job in enumerate(jobs) if i not in (2, 4)]
    assert store.failure(jobs[2].key) == outcome.failures[jobs[2].key]
    record = json.loads((store.folder / f"{jobs[4].key}.failed.json").read_text())
    assert "raise AwkwardError(n" in record["details"]
    assert store.load(jobs[2].key) is None
    mended = run_jobs(work, make_jobs(tmp_path / "calls", 8), store, executor=executor)
    assert calls(tmp_path / "calls") == {i: 1 + (i in (2, 4)) for i in range(8)}
    assert_same(mended, serial)
    assert store.failure(jobs[2].key) is None
    assert sorted(p.name for p in store.folder.iterdir()) == sorted(f"{job.key}.jsonl" for job in jobs)


def nothing(_: Any) -> Any:
    return None


def leave(_: Any) -> Any:
    sys.exit("left")


def test_other_ways_to_fail_are_failures_too(store: Store):
    job = Job("abcdef01", "odd", 1)
    assert "TypeError" in run_jobs(nothing, [job], store).failures[job.key]
    assert run_jobs(leave, [job], store).failures == {job.key: "SystemExit: left"}
    with ThreadPoolExecutor(1) as pool:
        unsendable = run_jobs(lambda _: None, [job], store, executor=pool).failures[job.key]  # type: ignore[arg-type]
    assert unsendable.startswith("The job cannot be sent to a worker (")
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    assert "shutdown" in run_jobs(nothing, [job], store, executor=pool).failures[job.key]


def test_a_dead_worker_is_replaced(tmp_path: Path, store: Store, serial: Outcome):
    jobs = make_jobs(tmp_path / "calls", 8, dies_once=(3,))
    outcome = run_jobs(work, jobs, store, executor=partial(local_processes, 2))
    assert outcome.failures == {}
    assert_same(outcome, serial)
    assert len(outcome.notes) == 1
    assert "job-3" in outcome.notes[0]
    assert calls(tmp_path / "calls")[3] == 2
    assert max(calls(tmp_path / "calls").values()) == 2  # a neighbour may have been lost with it, once


def test_a_job_that_always_kills_its_worker_harms_no_other(tmp_path: Path, store: Store):
    jobs = make_jobs(tmp_path / "calls", 8, sleep=0.05, dies=(5,))
    outcome = run_jobs(work, jobs, store, executor=partial(local_processes, 2))
    assert list(outcome.failures) == [jobs[5].key]
    assert "BrokenProcessPool" in outcome.failures[jobs[5].key]
    assert "--resume" in outcome.failures[jobs[5].key]
    assert list(outcome.results) == [job.key for i, job in enumerate(jobs) if i != 5]
    assert calls(tmp_path / "calls")[5] == 2


def test_a_machine_where_every_worker_dies_is_given_up(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_FRUITLESS", 3)
    jobs = make_jobs(tmp_path / "calls", 20, dies=range(20))
    outcome = run_jobs(work, jobs, store, executor=partial(local_processes, 1), retries=9)
    assert sum(calls(tmp_path / "calls").values()) == 3
    assert list(outcome.failures) == [job.key for job in jobs]
    assert all("BrokenProcessPool" in message and "--resume" in message for message in outcome.failures.values())


def test_a_dead_worker_of_a_pool_that_is_lent_ends_the_run(tmp_path: Path, store: Store, serial: Outcome):
    first = [store.path(job.key) for job in make_jobs(tmp_path / "calls", 3)]
    jobs = make_jobs(tmp_path / "calls", 8, dies=(4,), outlives=first)
    with local_processes(2) as pool:
        outcome = run_jobs(work, jobs, store, executor=pool)
    assert set(outcome.results) | set(outcome.failures) == {job.key for job in jobs}
    assert set(outcome.results) >= {job.key for job in jobs[:3]}
    assert jobs[4].key in outcome.failures
    assert all("--resume" in message for message in outcome.failures.values())
    assert_same(run_jobs(work, make_jobs(tmp_path / "calls", 8), store), serial)
    assert all(calls(tmp_path / "calls")[i] == 1 for i in range(3))


@pytest.mark.parametrize("where", ["serial", "processes"])
def test_a_full_disk_stops_the_run_and_spoils_nothing(
    tmp_path: Path, store: Store, serial: Outcome, pool: Executor, monkeypatch: pytest.MonkeyPatch, where: str
):
    jobs = make_jobs(tmp_path / "calls", 8)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if len(list(store.folder.glob("*.jsonl"))) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(InputError, match=r"No space left.*free some space there and run again with --resume"):
            run_jobs(work, jobs, store, executor=None if where == "serial" else pool)
    assert len(list(store.folder.iterdir())) == 3  # no temporary file, no failure
    kept = [i for i, job in enumerate(jobs) if store.load(job.key) is not None]
    assert len(kept) == 3
    assert_same(run_jobs(work, jobs, store), serial)
    assert all(calls(tmp_path / "calls")[i] == 1 for i in kept)


def test_a_folder_that_cannot_be_made_is_noticed_before_the_first_job(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name another folder"):
        run_jobs(work, make_jobs(tmp_path / "calls", 2), Store(tmp_path / "file" / "results"))
    assert calls(tmp_path / "calls") == {}


@pytest.mark.parametrize("where", ["serial", "processes"])
def test_an_interrupt_keeps_what_has_finished(
    tmp_path: Path, store: Store, serial: Outcome, pool: Executor, monkeypatch: pytest.MonkeyPatch, where: str
):
    jobs = make_jobs(tmp_path / "calls", 8)
    sent: list[Future[Any]] = []
    submit = pool.submit

    def record(*arguments: Any) -> Future[Any]:
        sent.append(submit(*arguments))
        return sent[-1]

    monkeypatch.setattr(pool, "submit", record)

    def interrupt(_: str, done: int, __: int) -> None:
        if done == 3:
            until(lambda: all(future.done() for future in sent))  # what is in flight ends meanwhile: it is kept as well
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(work, jobs, store, executor=None if where == "serial" else pool, progress=interrupt)
    kept = [i for i, job in enumerate(jobs) if store.load(job.key) is not None]
    assert len(kept) == (3 if where == "serial" else len(sent))
    assert_same(run_jobs(work, jobs, store), serial)
    assert all(calls(tmp_path / "calls")[i] == 1 for i in kept)


SCRIPT = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {here!r})
from test_executor import Store, local_processes, make_jobs, run_jobs, work

if __name__ == "__main__":
    folder = Path({folder!r})
    jobs = make_jobs(folder / "calls", 8, sleep={sleep!r})
    run_jobs(work, jobs, Store(folder / "results"), executor={executor})
"""


def start_script(folder: Path, sleep: Any, executor: str = "partial(local_processes, 2)") -> subprocess.Popen[bytes]:
    path = folder / "script.py"
    path.write_text(SCRIPT.format(here=str(HERE), folder=str(folder), sleep=sleep, executor=executor))
    return subprocess.Popen([sys.executable, str(path)], stderr=subprocess.PIPE, start_new_session=True)


def test_kill_minus_nine_loses_no_finished_job(tmp_path: Path, store: Store, serial: Outcome):
    script = start_script(tmp_path, sleep=dict.fromkeys(range(5, 8), 600.0))
    until(lambda: len(list(store.folder.glob("*.jsonl"))) == 5)
    script.kill()
    script.communicate()
    jobs = make_jobs(tmp_path / "calls", 8)
    kept = [i for i, job in enumerate(jobs) if store.load(job.key) is not None]
    assert kept == [0, 1, 2, 3, 4]
    until(lambda: not any(map(alive, processes(tmp_path / "calls"))))  # the workers do not outlive their parent
    assert_same(run_jobs(work, jobs, store), serial)
    assert all(calls(tmp_path / "calls")[i] == 1 for i in kept)


def test_two_processes_write_one_study(tmp_path: Path, store: Store, serial: Outcome):
    scripts = [start_script(tmp_path, sleep=0.1, executor="None") for _ in range(2)]
    for script in scripts:
        _, errors = script.communicate(timeout=300)
        assert script.returncode == 0, errors.decode()
    assert len(list(store.folder.iterdir())) == 8  # one file a job, nothing half-written
    assert_same(run_jobs(work, make_jobs(tmp_path / "none", 8), store), serial)
    assert calls(tmp_path / "none") == {}


@pytest.mark.parametrize("to", [pytest.param("the parent", marks=pytest.mark.slow), "the group"])
def test_ctrl_c_ends_soon_although_jobs_are_long(tmp_path: Path, store: Store, to: str):
    script = start_script(tmp_path, sleep=dict.fromkeys(range(3, 8), 600.0))
    until(lambda: len(list(store.folder.glob("*.jsonl"))) == 3 and len(calls(tmp_path / "calls")) == 5)
    (os.killpg if to == "the group" else os.kill)(script.pid, signal.SIGINT)
    try:
        _, errors = script.communicate(timeout=300)  # half of what one of the jobs takes
    except subprocess.TimeoutExpired:
        os.killpg(script.pid, signal.SIGKILL)
        script.communicate()
        raise
    assert script.returncode == -signal.SIGINT
    assert errors.decode().count("Traceback") == 1  # the parent's alone
    assert errors.decode().rstrip().endswith("KeyboardInterrupt")
    assert not any(map(alive, processes(tmp_path / "calls")))
    assert len(list(store.folder.iterdir())) == 3
    assert all(store.load(job.key) is not None for job in make_jobs(tmp_path / "calls", 3))
