"""From pulses in a session to streams on its clock, through the lake."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from flows import chain
from schemas.contracts.aligned import ALIGNED
from schemas.contracts.sync import SYNC
from schemas.entities import ArtifactRef, RunState, StageOutcome
from schemas.settings.align import AlignSettings
from schemas.settings.pipeline import PipelineSettings
from schemas.settings.sync import BarcodeSettings, PulsePair, SyncSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.align.sync_apply import put_on_session_clock
from tasks.align.sync_pairs import find_clocks, read_pulses, read_remarks
from tasks.align.sync_tree import synchronise_clocks
from tasks.align.task import align_session, synchronise_session
from tasks.common.draft import Draft
from tasks.common.lake import TREE_NAME
from tasks.common.workspace import Request, Workspace
from tasks.common.zarr_trees import write_tree

Factory = Callable[..., xr.Dataset]
Session = Callable[..., xr.DataTree]
OFFSET, PPM = 40.0, 32.0
LINE = np.cumsum(np.random.default_rng(0).uniform(0.7, 1.3, 200))


def on_device(session_T: np.ndarray) -> np.ndarray:
    return (session_T - OFFSET) * (1 - 1e-6 * PPM)


def events(time: np.ndarray, remark: str = "") -> xr.Dataset:
    return xr.Dataset(
        {"event_time": ("event", time, {"units": "s"})},
        attrs={
            "stream_kind": "events", "source": "/events", "primary": "event_time",
            "description": f"Rising edges {remark}",
        },
    )  # fmt: skip


def trials(start: np.ndarray, length: float) -> xr.Dataset:
    return xr.Dataset(
        {
            "start_time": ("interval", start, {"units": "s"}),
            "stop_time": ("interval", start + length, {"units": "s"}),
        },
        attrs={
            "stream_kind": "intervals", "source": "/epochs", "primary": "start_time",
            "comments": "[clock: camera]",
        },
    )  # fmt: skip


@pytest.fixture
def session(make_columns: Factory, make_spikes: Factory, make_session: Session) -> xr.DataTree:
    """A session whose camera, units and epochs run on the camera's clock, and running does not."""
    frame = np.arange(-50, 2100) / 10
    speed = np.sin(frame)[:, None]
    remark = {"comments": "Frames. [clock: camera]"}
    units = make_spikes([np.sort(np.random.default_rng(1).uniform(5, 190, 400))])
    units["spike_time"] = ("spike", on_device(units["spike_time"].values), {"units": "s"})
    units["observed_start"] = ("observation", on_device(np.array([-5.0])))
    units["observed_stop"] = ("observation", on_device(np.array([500.0])))
    units["observed_unit"] = ("observation", [0])
    return make_session(
        sync=events(LINE, "[line: sync]"),
        camera_sync=events(on_device(np.delete(LINE, [20, 21, 90])), "[line: sync][clock: camera]"),
        camera=make_columns("motion", speed, on_device(frame), **remark),
        units=units.assign_attrs(remark),
        epochs=trials(on_device(np.arange(-8, 200, 20.0)), 5.0),
        running=make_columns("motion", speed, frame),
    )


def test_the_file_says_which_streams_are_on_which_clock(session: xr.DataTree) -> None:
    streams = {name: node.to_dataset() for name, node in session.children.items()}
    (clock,) = find_clocks(streams, SyncSettings())
    assert clock.name == "camera"
    assert set(clock.streams) == {"camera_sync", "camera", "units", "epochs"}
    assert clock.pair == PulsePair(reference="sync", device="camera_sync")
    assert find_clocks(streams, SyncSettings(automatic=False)) == []
    assert read_remarks(streams["running"]) == {}


def test_streams_come_onto_the_session_clock(session: xr.DataTree) -> None:
    clocks = synchronise_clocks(session, SyncSettings())
    assert clocks is not None
    SYNC.check(clocks)
    told = clocks["camera"].attrs
    assert (told["verdict"], told["missing_count"], told["spurious_count"]) == (
        "synchronised",
        3,
        0,
    )
    assert told["drift_ppm"] == pytest.approx(PPM, abs=0.1)
    moved = put_on_session_clock(session, clocks)
    camera, running = moved["camera"].to_dataset(), moved["running"].to_dataset()
    first, last = LINE[[0, -1]]
    frame = running["time"].values
    inside = (frame >= first) & (frame <= last)
    np.testing.assert_allclose(camera["time"].values, frame[inside], atol=1e-6)
    np.testing.assert_allclose(camera["value"].values[:, 0], np.sin(frame[inside]))
    assert camera["valid"].sizes["time"] == inside.sum()
    assert "200 pulses" not in camera.attrs["clock_synchronised"]
    assert "197 pulses" in camera.attrs["clock_synchronised"]
    units = moved["units"].to_dataset()
    assert units.sizes["spike"] == 400
    observed = [float(units[name].item()) for name in ("observed_start", "observed_stop")]
    np.testing.assert_allclose(observed, [first, last], atol=1e-6)
    np.testing.assert_allclose(
        moved["epochs"]["start_time"].values, np.arange(12, 200, 20.0), atol=1e-6
    )
    xr.testing.assert_identical(running, session["running"].to_dataset())


def test_even_pulses_leave_the_streams_out_rather_than_guess(
    make_columns: Factory, make_session: Session
) -> None:
    beat = np.arange(100.0)
    pair = PulsePair(reference="sync", device="beats", streams=("wheel",))
    tree = make_session(
        sync=events(beat), beats=events(beat + 0.25),
        wheel=make_columns("motion", np.ones((100, 1)), beat),
        running=make_columns("motion", np.ones((100, 1)), beat),
    )  # fmt: skip
    clocks = synchronise_clocks(tree, SyncSettings(pairs=(pair,)))
    assert clocks is not None
    assert clocks["beats"].attrs["verdict"] == "ambiguous"
    assert "match as well when shifted by" in clocks["beats"].attrs["reason"]
    moved = put_on_session_clock(tree, clocks)
    assert set(moved.children) == {"sync", "running"}
    assert set(json.loads(moved.attrs["left_out_clocks"])) == {"beats", "wheel"}
    together = pair.model_copy(update={"starts_together": True})
    clocks = synchronise_clocks(tree, SyncSettings(pairs=(together,)))
    assert clocks is not None
    assert clocks["beats"].attrs["verdict"] == "synchronised"
    assert clocks["beats"].attrs["evidence"] == "known offset"


def test_a_clock_without_pulses_says_so(make_columns: Factory, make_session: Session) -> None:
    wheel = make_columns("motion", np.ones((9, 1)), np.arange(9.0), comments="[clock: wheel box]")
    clocks = synchronise_clocks(make_session(wheel=wheel), SyncSettings())
    assert clocks is not None
    SYNC.check(clocks)
    assert clocks["wheel box"].attrs["verdict"] == "unmatched"
    assert "no line" in clocks["wheel box"].attrs["reason"]
    pair = PulsePair(reference="gone", device="pulses", streams=("wheel",))
    clocks = synchronise_clocks(make_session(wheel=wheel), SyncSettings(pairs=(pair,)))
    assert clocks is not None
    assert "no stream gone and no pulses" in clocks["pulses"].attrs["reason"]


def test_pulses_with_lengths_are_read_as_barcodes() -> None:
    pulses = trials(np.array([0.0, 0.06, 30.0, 30.06]), 0.03)
    pair = PulsePair(reference="a", device="a", barcode=BarcodeSettings(bits=8))
    reference, _ = read_pulses({"a": pulses}, pair)
    assert reference.label_P.tolist() == [2 * 64, 2 * 64 + 2] * 2


def keep(space: Workspace, tree: xr.DataTree) -> ArtifactRef:
    """Put cleaned streams into the lake as if preprocess had made them."""

    def build(draft: Draft) -> None:
        write_tree(tree, draft.path / TREE_NAME)

    request = Request("preprocessed", "align", AlignSettings(), identity="made by a test")
    return space.produce(request, build).artifact.ref


def test_the_chain_keeps_the_map_and_the_aligned_session_names_it(
    session: xr.DataTree, tmp_path: Path
) -> None:
    space = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    cleaned = keep(space, session)
    synced = synchronise_session(space.settings, cleaned, SyncSettings())
    assert synced.stage == "sync"
    assert synced.ref is not None
    assert synced.key_figure.startswith("camera: 197 pulses, +32.0 ppm")
    assert (space.lake.folder(synced.ref) / "sync.svg").read_text().startswith("<?xml")
    aligned = align_session(space.settings, cleaned, AlignSettings(), synced.ref)
    assert aligned.ref is not None
    found = space.catalogue.find(aligned.ref.id)
    assert found is not None
    assert found.parents == (cleaned, synced.ref)
    tree = space.lake.open_tree(aligned.ref)
    ALIGNED.check(tree)
    assert tree["camera"].attrs["clock"] == "camera"
    both = tree["camera"]["valid"].values.ravel() & tree["running"]["valid"].values.ravel()
    assert both.sum() > 1500
    apart = tree["camera"]["value"].values[both] - tree["running"]["value"].values[both]
    assert np.abs(apart).max() < 2e-3


def test_a_session_with_one_clock_ends_empty_at_once(
    make_columns: Factory, make_session: Session, tmp_path: Path
) -> None:
    space = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    cleaned = keep(
        space, make_session(wheel=make_columns("motion", np.ones((9, 1)), np.arange(9.0)))
    )
    outcome = synchronise_session(space.settings, cleaned, SyncSettings())
    assert outcome.state is RunState.EMPTY
    assert "no stream is on a clock of its own" in outcome.reason


def test_clocks_that_failed_are_not_aligned_as_if_they_were_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> StageOutcome:
        raise ZeroDivisionError("a bug")

    def make(*_: object) -> StageOutcome:
        ref = ArtifactRef(kind="preprocessed", id="a" * 32)
        return StageOutcome(stage="preprocess", state=RunState.COMPLETE, ref=ref)

    monkeypatch.setattr(chain, "preprocess_session", make)
    monkeypatch.setattr(chain, "synchronise_session", fail)
    monkeypatch.setattr(chain, "report_session", make)
    running = chain.Chain(WorkspaceSettings(lake=str(tmp_path)))
    chain.process_streams(running, make(), PipelineSettings())
    ended = {outcome.stage: outcome for outcome in running.outcomes}
    assert ended["sync"].state is RunState.FAILED
    assert ended["align"].state is RunState.EMPTY
    assert "related clocks" in ended["align"].reason
