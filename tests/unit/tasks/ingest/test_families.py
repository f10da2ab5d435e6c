"""Rarer families: intervals as marks, annotations, images inside the file, imaging movies."""

import json

import numpy as np
import pynwb
import pytest
from pynwb.image import ImageSeries

from schemas.contracts.streams import STREAMS
from schemas.settings.ingest import IngestSettings
from tasks.ingest.inspector import inspect
from tasks.ingest.opening import read_recording
from tasks.ingest.read_intervals import pair_marks


def test_marks_become_intervals(new_file, save):
    nwbfile = new_file()
    series = pynwb.misc.IntervalSeries(
        name="grooming", data=[1, -1, 1, -1, 1], timestamps=[0.0, 1.0, 4.0, 6.0, 9.0]
    )
    module = nwbfile.create_processing_module("behavior", "b")
    module.add(pynwb.behavior.BehavioralEpochs(interval_series=series))
    with read_recording(save(nwbfile)) as opened:
        grooming = opened.streams["grooming"]
        assert grooming["start_time"].values.tolist() == [0.0, 4.0]
        assert grooming["stop_time"].values.tolist() == [1.0, 6.0]
        assert [f.code for f in opened.findings] == ["unpaired_marks"]


def test_a_mark_without_its_partner_pairs_with_no_other():
    start, stop = pair_marks(np.array([1, 1, -1, -1, 1, -1]), np.arange(6.0))
    assert (start.tolist(), stop.tolist()) == ([1.0, 4.0], [2.0, 5.0])


def test_annotations_become_labelled_events(new_file, save):
    nwbfile = new_file()
    with pytest.warns(UserWarning, match="AnnotationSeries is deprecated"):
        notes = pynwb.misc.AnnotationSeries(
            name="notes", data=["door", "light"], timestamps=[1.0, 2.0]
        )
    nwbfile.add_acquisition(notes)
    with read_recording(save(nwbfile)) as opened:
        notes = opened.streams["notes"]
        assert notes["label"].values.tolist() == ["door", "light"]
        STREAMS.check(opened.streams)


def test_images_inside_the_file_are_a_lazy_video(new_file, save):
    images = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
    nwbfile = new_file()
    nwbfile.add_acquisition(ImageSeries(name="camera", data=images, unit="n.a.", rate=10.0))
    with read_recording(save(nwbfile)) as opened:
        camera = opened.streams["camera"]
        assert camera.attrs["frames"] == "internal"
        assert not camera["image"].variable._in_memory
        np.testing.assert_array_equal(camera["image"], images)


def test_several_video_files_keep_their_first_frames(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(
        ImageSeries(
            name="camera",
            external_file=["one.mp4", "https://example.org/two.mp4"],
            format="external",
            starting_frame=[0, 10],
            timestamps=np.arange(20.0) / 10,
        )
    )
    path = save(nwbfile)
    with read_recording(path) as opened:
        attrs = opened.streams["camera"].attrs
        assert json.loads(attrs["starting_frame"]) == [0, 10]
        assert json.loads(attrs["files"])[1] == "https://example.org/two.mp4"
        assert attrs["frames"] == "missing"
        assert sorted(f.code for f in opened.findings) == ["video_missing", "video_remote"]


def test_an_imaging_movie_stays_in_the_file_unless_asked_for(new_file, save):
    nwbfile = new_file()
    device = nwbfile.create_device("microscope")
    channel = pynwb.ophys.OpticalChannel(name="c", description="c", emission_lambda=510.0)
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="plane",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP",
        location="V1",
    )
    nwbfile.add_acquisition(
        pynwb.ophys.TwoPhotonSeries(
            name="raw", data=np.zeros((3, 4, 4)), imaging_plane=plane, unit="n.a.", rate=10.0
        )
    )
    path = save(nwbfile)
    with read_recording(path) as opened:
        assert not opened.streams.children
        assert [f.code for f in opened.findings] == ["left_in_file"]
    with read_recording(path, IngestSettings(kinds={"acquisition/raw": "video"})) as opened:
        assert opened.streams["raw"].attrs["stream_kind"] == "video"


def test_two_calcium_streams_of_the_same_rois_are_named(rich_file, save):
    nwbfile = rich_file()
    module = nwbfile.processing["ophys"]
    table = module["ImageSegmentation"]["plane"]
    fluorescence = pynwb.ophys.Fluorescence()
    module.add(fluorescence)
    fluorescence.create_roi_response_series(
        name="Neuropil",
        data=np.random.default_rng(1).random((50, 2)),
        unit="a.u.",
        rois=table.create_roi_table_region(region=[3, 1], description="the same two"),
        rate=5.0,
    )
    with read_recording(save(nwbfile)) as opened:
        (same,) = [f for f in opened.findings if f.code == "same_rois"]
        assert same.what.startswith("df_over_f, neuropil are of the same 2 ROIs")


@pytest.mark.parametrize("budget_s", [60.0, 1e-9])
def test_inspector_findings_have_a_time_limit(new_file, save, budget_s):
    nwbfile = new_file(subject=None)
    with read_recording(save(nwbfile)) as opened:
        codes = {finding.code for finding in inspect(opened.nwbfile, budget_s)}
    assert ("inspector_subject_exists" in codes) == (budget_s > 1)
    assert ("inspector_stopped" in codes) == (budget_s < 1)
