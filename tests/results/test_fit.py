"""Saved fits: the same forecast in a new process, and nothing but a saved fit is read."""

from __future__ import annotations

import dataclasses
import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results import storage
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import Scenario
from bayes_obscaling.results.storage import open_fit, save_fit

SCENARIOS = ("family-2-3", "family-5-3", Scenario("next", "family-1", 1e25), Scenario("other", "new", 1e24))
IN_A_NEW_PROCESS = """
import sys
import numpy as np
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import Scenario
from bayes_obscaling.results.storage import open_fit, save_fit
fit = open_fit(sys.argv[1])
asked = ["family-2-3", "family-5-3", Scenario("next", "family-1", 1e25), Scenario("other", "new", 1e24)]
np.save(sys.argv[2], forecast(fit, asked, tasks=["task-0", "bench-4"]).draws.to_numpy())
"""


@pytest.fixture(scope="module")
def saved(made_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_fit.save(tmp_path_factory.mktemp("saved") / "fit.nc")


def test_a_new_process_forecasts_the_same(saved: Path, made_fit: CapabilityFit, tmp_path: Path):
    out = tmp_path / "draws.npy"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_NEW_PROCESS, str(saved), str(out)], check=True, timeout=120
    )
    here = forecast(made_fit, SCENARIOS, tasks=["task-0", "bench-4"]).draws.to_numpy()
    np.testing.assert_array_equal(np.load(out), here)


def test_all_of_a_fit_comes_back(saved: Path, made_fit: CapabilityFit):
    loaded = open_fit(saved)
    for name in ("table", "spec", "tasks", "split", "stages", "provenance", "notes"):
        assert getattr(loaded, name) == getattr(made_fit, name), name
    assert loaded.table.notes == made_fit.table.notes
    xr.testing.assert_identical(loaded.draws, made_fit.draws)
    assert set(loaded.tree.children) == {"posterior", "scaffold", "sample_stats", "observed_data"}
    for group in made_fit.tree.children:
        xr.testing.assert_equal(loaded.tree[group].to_dataset(), made_fit.tree[group].to_dataset())
    assert loaded.convergence == made_fit.convergence and loaded.verdict == made_fit.verdict == "PASS"
    xr.testing.assert_identical(loaded.stages[1].draws(loaded.tree), made_fit.stages[1].draws(made_fit.tree))
    assert open_fit(saved, spec=made_fit.spec).spec == made_fit.spec


def test_saving_again_gives_a_loadable_copy(saved: Path, tmp_path: Path):
    copy = open_fit(open_fit(saved).save(tmp_path / "copy.nc"))
    xr.testing.assert_identical(copy.draws, open_fit(saved).draws)


def test_another_spec_is_refused_with_what_differs(saved: Path, tiny_spec: CapabilitySpec):
    with pytest.raises(InputError, match=r"another spec \(different: fit_sd\)"):
        open_fit(saved, spec=tiny_spec.model_copy(update={"fit_sd": 0.03}))
    with pytest.raises(InputError, match=r"n_factors.*priors"):
        open_fit(saved, spec=CapabilitySpec())


def test_another_format_is_refused(made_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as later:
        later.setattr(storage, "FORMAT", storage.FORMAT + 1)
        path = made_fit.save(tmp_path / "later.nc")
    with pytest.raises(InputError, match=f"format {storage.FORMAT + 1}, this version reads {storage.FORMAT}"):
        open_fit(path)


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
        open_fit(path)


@pytest.mark.parametrize("record", ['{"seed": 1}', "no JSON", "[]", f'{{"format": {storage.FORMAT}}}'])
def test_a_foreign_record_is_refused(tmp_path: Path, record: str):
    tree = xr.DataTree.from_dict({"bayes_obscaling": xr.Dataset({"record": ((), record)})})
    tree.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"odd\.nc"):
        open_fit(tmp_path / "odd.nc")


def test_a_full_disk_keeps_the_old_file(made_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = made_fit.save(tmp_path / "fit.nc")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"No space left.*has room"):
        made_fit.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_nothing(made_fit: CapabilityFit, tmp_path: Path):
    with pytest.raises(InputError, match="folder that exists"):
        made_fit.save(tmp_path / "missing" / "fit.nc")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="taken"):
        made_fit.save(tmp_path / "taken")
    assert [p.name for p in tmp_path.rglob("*")] == ["taken"]


def test_a_changed_number_is_told_from_a_saved_one(saved: Path, tmp_path: Path):
    """A file whose content is not what was saved is refused, though it can be read."""
    with xr.open_datatree(saved, engine="h5netcdf") as opened:
        tree = opened.load()
    for group, name in (("posterior", "theta"), ("scaffold", "loading_free"), ("sample_stats", "energy")):
        changed = tree.copy(deep=True)
        values = changed[group][name].to_numpy()
        values.flat[3] = np.nextafter(values.flat[3], 9.0)
        changed.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
        with pytest.raises(InputError, match="another checksum"):
            open_fit(tmp_path / "odd.nc")


def with_convergence(fit: CapabilityFit, at: int, **changes: float) -> CapabilityFit:
    """Fit one of whose stages has another record."""
    record = Convergence(**{**fit.stages[at].convergence.model_dump(), **changes})
    stages = list(fit.stages)
    stages[at] = stages[at].model_copy(update={"convergence": record})
    return dataclasses.replace(fit, stages=tuple(stages))


def test_problems_name_their_stage(made_fit: CapabilityFit):
    assert (made_fit.problems, made_fit.verdict) == ((), "PASS")
    sick = with_convergence(with_convergence(made_fit, 0, divergences=3), 1, rhat=1.05)
    one, two = sick.problems
    assert one == "capabilities: 3 divergent transitions"
    assert two.startswith("task heads: R-hat 1.050")
    assert sick.verdict == "FAIL"
    assert (sick.worst_convergence.rhat, sick.worst_convergence.divergences) == (1.05, 3)


def test_slow_energies_are_told_by_stage_and_chain(made_fit: CapabilityFit):
    assert made_fit.energy_level == "PASS" and made_fit.energy_warning == ()
    assert len(made_fit.energies) == 4  # two stages of two chains
    tree = made_fit.tree.copy(deep=True)
    walk = np.cumsum(np.random.default_rng(0).standard_normal(400))
    tree["sample_stats"]["energy"][1, :, 1] = walk
    slow = dataclasses.replace(made_fit, tree=tree)
    assert slow.energy_level == "FAIL" and slow.verdict == "FAIL" and slow.problems == ()
    assert slow.energy_warning[0].startswith("task heads: E-BFMI 0.0")
    assert "of chain 2" in slow.energy_warning[0]


def test_a_sampled_fit_too_short_for_its_limits_says_so(tiny_fit: CapabilityFit):
    assert tiny_fit.problems  # 400 draws cannot have an effective sample size above 400
    for problem in tiny_fit.problems:
        assert problem.startswith(("capabilities: ", "task heads: "))


def test_settings_of_scores_come_back(made_fit: CapabilityFit, tmp_path: Path):
    table = made_fit.table
    one = table.scores.iloc[[0]][["model", "benchmark"]].assign(
        setting="16K", reasoning=1.0, score=0.25, n_items=np.nan
    )
    scores = table.scores.assign(
        setting="high", evaluated="2025-01-01", reasoning=[np.nan] + [0.0] * (len(table.scores) - 1)
    )
    models = table.models.assign(flops_sd=0.1, provider="lab")
    told = ScoreTable(models, table.benchmarks.assign(category="math"), scores, table.notes, other_settings=one)
    save_fit(dataclasses.replace(made_fit, table=told), tmp_path / "fit.nc")
    opened = open_fit(tmp_path / "fit.nc")
    assert isinstance(opened, CapabilityFit)
    assert opened.table == told and opened.table.other_settings.equals(told.other_settings)
