"""Saved fits: the same forecast in a new process, and nothing but a saved fit is read."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability import CapabilitySpec
from bayes_obscaling.results import fit as fit_module
from bayes_obscaling.results.fit import Fit, load_fit
from bayes_obscaling.results.forecast import Scenario, forecast

SCENARIOS = ("family-2-3", "family-5-3", Scenario("next", "family-1", 1e25), Scenario("other", "new", 1e24))
IN_A_NEW_PROCESS = """
import sys
import numpy as np
from bayes_obscaling import Scenario, forecast, load_fit
fit = load_fit(sys.argv[1])
asked = ["family-2-3", "family-5-3", Scenario("next", "family-1", 1e25), Scenario("other", "new", 1e24)]
np.save(sys.argv[2], forecast(fit, asked, tasks=["task-0", "bench-4"]).draws.to_numpy())
"""


@pytest.fixture(scope="module")
def saved(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_fit.save(tmp_path_factory.mktemp("saved") / "fit.nc")


def test_a_new_process_forecasts_the_same(saved: Path, tiny_fit: Fit, tmp_path: Path):
    out = tmp_path / "draws.npy"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_NEW_PROCESS, str(saved), str(out)], check=True, timeout=120
    )
    here = forecast(tiny_fit, SCENARIOS, tasks=["task-0", "bench-4"]).draws.to_numpy()
    np.testing.assert_array_equal(np.load(out), here)


def test_all_of_a_fit_comes_back(saved: Path, tiny_fit: Fit):
    loaded = load_fit(saved)
    for name in ("table", "spec", "tasks", "cutoff", "from_compute", "convergence", "provenance", "notes"):
        assert getattr(loaded, name) == getattr(tiny_fit, name), name
    assert loaded.table.notes == tiny_fit.table.notes
    xr.testing.assert_identical(loaded.draws, tiny_fit.draws)
    for group in ("sample_stats", "observed_data"):
        xr.testing.assert_equal(loaded.posterior[group].to_dataset(), tiny_fit.posterior[group].to_dataset())
    assert load_fit(saved, spec=tiny_fit.spec).spec == tiny_fit.spec


def test_saving_again_gives_a_loadable_copy(saved: Path, tmp_path: Path):
    copy = load_fit(load_fit(saved).save(tmp_path / "copy.nc"))
    xr.testing.assert_identical(copy.draws, load_fit(saved).draws)


def test_another_spec_is_refused_with_what_differs(saved: Path, tiny_spec: CapabilitySpec):
    with pytest.raises(InputError, match=r"another spec \(different: fit_sd\)"):
        load_fit(saved, spec=tiny_spec.model_copy(update={"fit_sd": 0.03}))
    with pytest.raises(InputError, match=r"n_factors.*priors"):
        load_fit(saved, spec=CapabilitySpec())


def test_another_format_is_refused(tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as later:
        later.setattr(fit_module, "FORMAT", fit_module.FORMAT + 1)
        path = tiny_fit.save(tmp_path / "later.nc")
    with pytest.raises(InputError, match=f"format {fit_module.FORMAT + 1}, this version reads {fit_module.FORMAT}"):
        load_fit(path)


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "foreign", "missing", "folder"])
def test_what_is_no_saved_fit_is_refused(saved: Path, tmp_path: Path, kind: str):
    path = tmp_path / "odd.nc"
    if kind == "foreign":
        xr.Dataset({"temperature": ("day", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        whole = saved.read_bytes()
        path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"model,score\na,1\n", "empty": b""}[kind])
    with pytest.raises(InputError, match=r"odd\.nc"):
        load_fit(path)


@pytest.mark.parametrize("record", ['{"seed": 1}', "no JSON", "[]", f'{{"format": {fit_module.FORMAT}}}'])
def test_a_foreign_record_is_refused(tmp_path: Path, record: str):
    tree = xr.DataTree.from_dict({"bayes_obscaling": xr.Dataset({"record": ((), record)})})
    tree.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"odd\.nc"):
        load_fit(tmp_path / "odd.nc")


def test_a_full_disk_keeps_the_old_file(tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tiny_fit.save(tmp_path / "fit.nc")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"No space left.*has room"):
        tiny_fit.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_nothing(tiny_fit: Fit, tmp_path: Path):
    with pytest.raises(InputError, match="folder that exists"):
        tiny_fit.save(tmp_path / "missing" / "fit.nc")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="taken"):
        tiny_fit.save(tmp_path / "taken")
    assert [p.name for p in tmp_path.rglob("*")] == ["taken"]


def test_problems_name_their_stage(tiny_fit: Fit):
    for problem in tiny_fit.problems:
        assert problem.startswith(("capabilities: ", "task heads: "))
    assert tiny_fit.problems  # 400 draws cannot have an effective sample size above 400
