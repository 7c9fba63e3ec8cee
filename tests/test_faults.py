"""What can go wrong around a fit: processes killed, disks full, folders read-only. Nothing finished is lost by it."""

from __future__ import annotations

import ast
import errno
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import bayes_obscaling
from bayes_obscaling import files
from bayes_obscaling.cli.interrupts import heard_interrupts
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.storage import open_fit

Run = Callable[..., tuple[int, str, str]]

WRITE = """
import os, sys, time
from pathlib import Path
from bayes_obscaling.cli.show import write

def stop(handle):  # all bytes are written, and the file is not yet at its place
    print("writing", flush=True)
    time.sleep(600)

kind, source, target = sys.argv[1:]
fit = None
if kind == "fit":
    from bayes_obscaling.results.storage import open_fit
    fit = open_fit(source)
os.fsync = stop
fit.save(target) if fit else write(Path(target), b"model,median\\n" * 1000)
"""


@pytest.fixture(scope="module")
def saved(tiny_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_fit.save(tmp_path_factory.mktemp("faults") / "fit.nc")


@pytest.mark.parametrize("kind", [pytest.param("fit", marks=pytest.mark.slow), "csv"])
def test_killed_while_writing_keeps_the_old_file(
    kind: str, saved: Path, tiny_fit: CapabilityFit, tmp_path: Path
) -> None:
    target = tmp_path / f"out.{kind}"
    target.write_bytes(b"old")
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, kind, str(saved), str(target)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "writing\n"
    child.kill()
    child.communicate()
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2  # and what it had written, which the next one to write there removes
    if kind == "fit":
        tiny_fit.save(target)
        assert open_fit(target).table == tiny_fit.table
    else:
        files.write_atomically(target, b"new")
        assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_another_process_is_writing_is_left_alone(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, "csv", str(saved), str(target)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "writing\n"
        files.write_atomically(target, b"mine")
        assert target.read_bytes() == b"mine"
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        child.kill()
        child.communicate()


@pytest.mark.slow
def test_killed_while_sampling_leaves_no_half_of_anything(tmp_path: Path) -> None:
    results, mine = tmp_path / "results", tmp_path / "cache"
    results.mkdir()
    command = [
        sys.executable,
        "-m",
        "bayes_obscaling",
        "forecast",
        "--task",
        "word_unscrambling",
        "--cutoff-flops",
        "8.4e22",
        "--output",
        str(results / "f.csv"),
        "--save-fit",
        str(results / "fit.nc"),
    ]
    child = subprocess.Popen(
        command, env={**os.environ, "BAYES_OBSCALING_CACHE": str(mine)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not list(mine.glob("compiled/*")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert list(results.iterdir()) == []
    assert [path for path in mine.rglob("*.npz") if path.stat().st_size == 0] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_costs_no_forecast(saved: Path, tiny_fit: CapabilityFit, run: Run) -> None:
    code, printed, said = run("forecast", "--fit", saved, "--task", "task-0", "--output", "/dev/full")
    assert code == 2 and "/dev/full cannot be written (No space left on device)" in " ".join(said.split())
    assert "family-5-3" in printed  # on the screen before anything is written
    with pytest.raises(InputError, match="No space left on device"):
        tiny_fit.save("/dev/full")


def test_a_disk_that_fills_up_half_way_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(OSError, match="File too large"):
            files.write_atomically(tmp_path / "f.csv", b"model,median\n" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that cannot be written to; where tests run as root, who may write anywhere, Python is told so."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        access, mkstemp = os.access, files.tempfile.mkstemp

        def no_access(path, mode, **kwargs) -> bool:
            return access(path, mode, **kwargs) and not (Path(path) == folder and mode & os.W_OK)

        def no_file(*, dir, prefix):
            if Path(dir) == folder:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return mkstemp(dir=dir, prefix=prefix)

        monkeypatch.setattr("os.access", no_access)
        monkeypatch.setattr(files.tempfile, "mkstemp", no_file)
    return folder


def test_a_read_only_folder_is_noticed_before_sampling(read_only: Path, run: Run) -> None:
    for option in ("--output", "--save-fit", "--plot"):
        code, printed, said = run("forecast", "--task", "word_unscrambling", option, read_only / "f.png")
        assert code == 2 and printed == ""
        assert f"no permission in {read_only}" in " ".join(said.split()).replace("\n", "")
    assert list(read_only.iterdir()) == []


def test_a_read_only_folder_loses_no_fit(read_only: Path, tiny_fit: CapabilityFit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written to .*Permission denied"):
        tiny_fit.save(read_only / "fit.nc")
    assert list(read_only.iterdir()) == []
    assert open_fit(tiny_fit.save(tmp_path / "fit.nc")).tasks == tiny_fit.tasks


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_bytes(b"old")
    link.symlink_to(real)
    files.write_atomically(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


def test_a_device_is_written_to_directly() -> None:
    code = "from pathlib import Path; from bayes_obscaling.cli.show import write; write(Path('/dev/stderr'), b'a,b')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "a,b") and Path("/dev/stderr").exists()


def test_no_pickle_is_read_from_a_file() -> None:
    """The calls of `pickle.loads` read bytes that this program made a moment ago and handed to its own worker."""
    found = []
    for path in Path(bayes_obscaling.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name.endswith((".load", ".loads", ".read_pickle", "Unpickler")) and (
                    "pickle" in name or "joblib" in name or "torch" in name
                ):
                    found.append((path.name, name))
                if name in ("np.load", "numpy.load", "pd.read_pickle"):
                    allowed = [k.value for k in node.keywords if k.arg == "allow_pickle"]
                    assert all(isinstance(value, ast.Constant) and value.value is False for value in allowed), path
    assert found == 2 * [("parcels.py", "pickle.loads")]


@pytest.mark.parametrize("what", ["a draw", "a name", "a score"])
def test_a_fit_with_a_wrong_byte_is_refused(what: str, saved: Path, tiny_fit: CapabilityFit, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    scores = tiny_fit.table.scores.to_csv(index=False).encode()
    part, wrong = {
        "a draw": (b"", b""),
        "a name": (b"family-2-3,", b"family-2-9,"),
        "a score": (scores[-60:], scores[-60:].replace(b"0.", b"0,", 1)),
    }[what]
    if what == "a draw":
        part = tiny_fit.draws["theta"].to_numpy().ravel()[1000:1004].tobytes()
        wrong = bytes([part[0] ^ 1]) + part[1:]  # the last bit of a number: the file can be read as before
    assert part in whole and part != wrong
    path = tmp_path / "changed.nc"
    path.write_bytes(whole.replace(part, wrong))
    with pytest.raises(InputError, match=r"changed\.nc .*damaged"):
        open_fit(path)


def test_ctrl_c_leaves_without_taking_the_interpreter_down(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled code may still run in threads, and may crash when Python ends around it."""
    from bayes_obscaling import cli

    class LeftError(Exception):
        pass

    def leave(code: int) -> None:
        raise LeftError(code)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupt)
    monkeypatch.setattr(cli.os, "_exit", leave)
    with pytest.raises(LeftError, match="130"):
        run("tasks")
    assert "Interrupted" in capsys.readouterr().err


@pytest.fixture
def usual_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_interrupts")
def test_ctrl_c_is_not_lost_in_a_callback_of_the_garbage_collector() -> None:
    """Python forgets what such a callback raises; JAX has one."""

    def callback(*_: object) -> None:
        if not gone_on:
            signal.raise_signal(signal.SIGINT)
            gone_on.append("after it")

    gone_on: list[str] = []
    gc.callbacks.append(callback)
    try:
        with pytest.raises(KeyboardInterrupt), heard_interrupts():
            gc.collect(0)
            time.sleep(60)
    finally:
        gc.callbacks.remove(callback)
    assert gone_on


@pytest.mark.usefixtures("usual_interrupts")
def test_ctrl_c_that_somebody_swallows_is_repeated_and_one_that_is_handled_is_not() -> None:
    with pytest.raises(KeyboardInterrupt), heard_interrupts():
        with suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        time.sleep(60)
    cleaned = []
    with pytest.raises(RuntimeError, match="cleaned"), heard_interrupts():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            time.sleep(2.5)
            cleaned.append("up")
            raise RuntimeError("cleaned") from None
    time.sleep(1.5)  # and none comes later
    assert cleaned and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with heard_interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # a job in the background stays deaf


@pytest.mark.slow
def test_ctrl_c_is_heard_while_thousands_of_models_are_sampled(tmp_path: Path) -> None:
    """A chunk of such a table takes minutes; what was not finished leaves nothing behind."""
    table = tmp_path / "many.csv"
    rows = [
        f"org/m-{i},Family {i // 5},7,2,{10 + i % 90},{0.3 + i % 50 / 100:.2f},{0.4 + i % 40 / 100:.2f}"
        for i in range(4000)
    ]
    header = "Model,Model Family,Model Size (B),Pretraining Data Size (T),FLOPs (1E21),MMLU,HellaSwag"
    table.write_text("\n".join([header, *rows]))
    command = [
        sys.executable,
        "-c",
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job may ignore it
        "from bayes_obscaling.cli import main; main()",
        "forecast",
        "--task",
        "word_unscrambling",
        "--scores",
        str(table),
        "--output",
        str(tmp_path / "f.csv"),
    ]
    child = subprocess.Popen(
        command,
        env={**os.environ, "BAYES_OBSCALING_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("cache/compiled/jit_advance*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)  # past compiling, which cannot be interrupted
    child.send_signal(signal.SIGINT)
    try:
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert "Interrupted" in errors and "Traceback" not in errors and "terminate" not in errors
    assert not (tmp_path / "f.csv").exists()
