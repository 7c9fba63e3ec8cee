from __future__ import annotations

import os
import stat
import zlib
from pathlib import Path

import numpy as np
import pytest

from bayes_obscaling.files import write_atomically
from bayes_obscaling.inference.cache import (
    content_hash,
    default_cache_dir,
    load_arrays,
    store_arrays,
    use_compile_cache,
)

ARRAYS = {"theta": np.arange(6.0).reshape(2, 3), "flag": np.array([True, False])}


def test_default_folder_is_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("BAYES_OBSCALING_CACHE", str(tmp_path / "mine"))
    assert default_cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("BAYES_OBSCALING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "bayes_obscaling"


def test_stored_arrays_come_back(tmp_path: Path):
    folder = tmp_path / "deep" / "cache"
    store_arrays(folder, "key", ARRAYS, {"rhat": 1.004})
    arrays, facts = load_arrays(folder, "key")
    assert facts == {"rhat": 1.004}
    assert set(arrays) == set(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
    assert load_arrays(folder, "other") is None
    assert load_arrays(tmp_path / "nowhere", "key") is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [p.name for p in folder.iterdir()] == ["key.npz"]


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "pickle", "other format"])
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, kind: str):
    store_arrays(tmp_path, "key", ARRAYS, {})
    path = tmp_path / "key.npz"
    whole = path.read_bytes()
    if kind == "pickle":
        np.savez(path, __facts__=np.array({"format": 1}, dtype=object), theta=np.array([object()]))
    elif kind == "other format":
        path.write_bytes(
            whole.replace(b'"\x00\x00\x00f\x00\x00\x00o\x00\x00\x00r', b'"\x00\x00\x00F\x00\x00\x00o\x00\x00\x00r')
        )
        assert path.read_bytes() != whole
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"not a zip file", "empty": b""}[kind])
    assert load_arrays(tmp_path, "key") is None


def test_hash_depends_on_values_shapes_and_types():
    base = content_hash({"a": 1}, [np.zeros(4)])
    assert base == content_hash({"a": 1}, [np.zeros(4)])
    changed = [
        content_hash({"a": 2}, [np.zeros(4)]),
        content_hash({"a": 1}, [np.array([0, 0, 0, 1e-12])]),
        content_hash({"a": 1}, [np.zeros((2, 2))]),
        content_hash({"a": 1}, [np.zeros(4, np.float32)]),
    ]
    assert len({base, *changed}) == 5


def test_writing_replaces_the_file_whole(tmp_path: Path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def fail(_: int) -> None:
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr("os.fsync", fail)
        write_atomically(path, b"half of the ne")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "out", b"x")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"a file where the folder should be")
    store_arrays(blocked, "key", ARRAYS, {})
    assert load_arrays(blocked, "key") is None


def test_compiled_programs_are_their_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told: dict[str, object] = {}
    monkeypatch.setattr("jax.config.update", lambda name, value: told.update({name: value}))
    (tmp_path / "compiled").mkdir(mode=0o777)
    use_compile_cache(tmp_path)
    assert told["jax_compilation_cache_dir"] == str(tmp_path / "compiled")
    assert stat.S_IMODE((tmp_path / "compiled").stat().st_mode) == 0o700
    told.clear()
    blocked = tmp_path / "file"
    blocked.touch()
    use_compile_cache(blocked)
    assert told == {}


def test_programs_that_were_cut_short_are_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jax.config.update", lambda *_: None)
    folder = tmp_path / "compiled"
    folder.mkdir()
    whole = zlib.compress(b"program" * 1000)
    kept = {"whole-cache": whole, "another-format-cache": b"(\xb5/\xfd..."}
    cut = {"cut-cache": whole[:-5], "changed-cache": whole[:10] + b"?" + whole[11:], "empty-cache": b""}
    for name, content in {**kept, **cut}.items():
        (folder / name).write_bytes(content)
    use_compile_cache(tmp_path)
    assert {path.name for path in folder.iterdir()} == set(kept)
