"""Dask workers give the same to the bit, and what they lose or cannot do is done again."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from schemas.settings.causal import CausalSettings
from schemas.settings.screening import ScreeningSettings
from tasks.causal import blocks
from tasks.causal.blocks import NO_STORE, BlockStore, fetch_blocks
from tasks.causal.extract import extract_graph
from tasks.causal.spread import Parcel
from tasks.common.cluster import local_client, present_workers
from tasks.common.progress import progress_to
from tests.unit.tasks.causal.errands import dies, dies_on_workers, fails, who

SETTINGS = CausalSettings(
    use="all", tau_s=0, theiler_s=0, max_dimension=3, library_samples=2, surrogates=19, block=1
)
SCREENED = SETTINGS.model_copy(
    update={"screening": ScreeningSettings(above=2, surrogates=100, causes=3)}
)
PARTS = [range(n, n + 1) for n in range(12)]


@pytest.fixture(scope="module")
def workers():
    """Two workers of one thread, to be left alive."""
    with local_client(2) as client:
        yield client


@pytest.fixture
def mortals():
    """Two workers for a test that kills some: nobody need wait for their return."""
    with local_client(2) as client:
        yield client


def fetch(work, store=NO_STORE):
    return list(fetch_blocks(store, "some work", PARTS, work, "cpu"))


def values(found):
    return [int(block["value"][0]) for block in found]


def test_all_workers_take_blocks_with_one_thread_each(workers, tmp_path):
    numbers = np.arange(100, 112)
    found = fetch(partial(who, numbers), BlockStore(tmp_path))
    assert values(found) == numbers.tolist()
    processes = {int(block["pid"][0]) for block in found}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {int(block["threads"][0]) for block in found} == {1}
    assert not list(tmp_path.glob("arrays*"))


def test_a_worker_that_is_killed_costs_nothing_but_its_blocks(mortals, tmp_path):
    assert values(fetch(partial(dies, str(tmp_path / "pid")))) == list(range(12))
    assert (tmp_path / "pid").exists()


def test_what_kills_every_worker_is_done_here(mortals, caplog, monkeypatch):
    monkeypatch.setattr(mortals.cluster.scheduler, "allowed_failures", 0)
    parts = PARTS[:2]
    work = partial(dies_on_workers, os.getpid())
    assert values(fetch_blocks(NO_STORE, "deadly", parts, work, "cpu")) == [0, 1]
    assert "it is done here" in caplog.text


def test_what_workers_do_not_see_is_done_here(workers, caplog, monkeypatch):
    seen_by_us = Parcel.__getstate__
    monkeypatch.setattr(
        Parcel, "__getstate__", lambda self: seen_by_us(self) | {"path": Path("/nowhere")}
    )
    found = fetch(partial(who, np.arange(12)))
    assert {int(block["pid"][0]) for block in found} == {os.getpid()}
    assert "it is done here" in caplog.text


def test_errors_of_the_work_are_raised(workers):
    with pytest.raises(ZeroDivisionError):
        fetch(fails)


def test_a_task_spreads_nothing_itself(workers):
    assert present_workers().threads == 2
    assert workers.submit(present_workers).result() is None


def test_gpu_blocks_go_only_to_workers_that_offer_one(workers):
    assert present_workers({"GPU": 1}) is None


def test_a_parcel_brings_arrays_as_they_are(tmp_path):
    sent = {
        "rows": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.empty(0),
        "names": np.array(["a", "bc"]),
    }
    for name, array in Parcel(sent, tmp_path / "file").unpack().items():
        np.testing.assert_array_equal(array, sent[name])
        assert array.flags.writeable
        assert array.flags.f_contiguous == sent[name].flags.f_contiguous


@pytest.fixture
def graph_made_here(monkeypatch):
    """Return a function that makes a graph without the workers that there are."""

    def make(aligned: xr.DataTree, settings: CausalSettings) -> xr.DataTree:
        with monkeypatch.context() as patch:
            patch.setattr(blocks, "present_workers", lambda needs: None)
            patch.setattr(blocks, "map_on_workers", None)
            return extract_graph(aligned, settings)

    return make


@pytest.mark.parametrize("settings", [SETTINGS, SCREENED], ids=["all pairs", "screened"])
def test_a_graph_is_the_same_with_and_without_workers(
    make_aligned, logistic_network, settings, workers, graph_made_here, tmp_path, monkeypatch
):
    aligned = make_aligned(logistic_network[:250, :6])
    spread: list[int] = []
    on_workers = blocks.map_on_workers
    monkeypatch.setattr(
        blocks, "map_on_workers", lambda *told: spread.append(len(told[2])) or on_workers(*told)
    )
    found = extract_graph(aligned, settings, store=BlockStore(tmp_path))
    assert spread[:2] == [6, 6]  # dimensions, then skills
    assert_same(found, graph_made_here(aligned, settings))


def test_a_worker_killed_in_mid_run_changes_nothing(
    make_aligned, logistic_network, mortals, graph_made_here, tmp_path
):
    aligned = make_aligned(logistic_network[:250, :6])
    pids = list(mortals.run(os.getpid).values())

    class Kills:
        """Kills a worker once the first block has come."""

        def update(self, label: str, done: float, total: float, note: str = "") -> None:
            if label == "cross mapping" and done == 1:
                os.kill(pids.pop(), signal.SIGKILL)

    with progress_to(Kills()):
        spread = extract_graph(aligned, SETTINGS, store=BlockStore(tmp_path))
    assert len(pids) == 1
    assert_same(spread, graph_made_here(aligned, SETTINGS))


def assert_same(one: xr.DataTree, other: xr.DataTree) -> None:
    assert set(one.children) == set(other.children)
    for group in one.children:
        xr.testing.assert_identical(
            one[group].to_dataset(inherit=False), other[group].to_dataset(inherit=False)
        )
