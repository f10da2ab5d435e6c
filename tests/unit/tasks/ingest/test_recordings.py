"""Every real recording ends well: ingested with its oddities named, values those of pynwb."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.streams import STREAMS
from schemas.settings.ingest import IngestSettings
from tasks.ingest.check import check_streams
from tasks.ingest.opening import read_recording
from tasks.ingest.repair import repair_streams

pytestmark = pytest.mark.shared
SETTINGS = IngestSettings()

EXPECTED = (
    # file, streams of each kind, codes of what is odd
    (
        "nwb/aind_foraging_689514_2024-02-01_18-06-43.nwb",
        "events=7, intervals=1",
        "clock_not_session empty_stream left_in_file",
    ),
    (
        "nwb/aind_foraging_697062_2023-11-20_10-39-40.nwb",
        "events=6, intervals=1",
        "clock_not_session empty_stream",
    ),
    (
        "nwb/aind_foraging_697929_2024-02-22_08-38-30.nwb",
        "events=7, intervals=1",
        "clock_not_session edges_disagree empty_stream left_in_file",
    ),
    (
        "nwb/aind_foraging_705599_2024-05-31_14-06-54.nwb",
        "events=7, intervals=1",
        "clock_not_session empty_stream left_in_file",
    ),
    (
        "nwb/dandi000009_units_trials_opto.nwb",
        "intervals=1, spikes=1",
        "missing_times",
    ),
    ("nwb/dlc2nwb_openfield_pose.nwb", "pose=1", "no_subject timestamps_are_frame_numbers"),
    ("nwb/neuroconv_rois.nwb", "calcium=3", "left_in_file no_subject same_rois"),
    ("nwb/neuroconv_ttl.nwb", "signal=8", "no_subject"),
    ("nwb/neuropixels_lfp_384ch.nwb", "lfp=1", ""),
    ("nwb/pynapple_A8604_units.nwb", "intervals=1, spikes=1", "no_subject"),
    ("nwb/pynwb_backcompat/0.1.1_poseestimation_no_cameras.nwb", "", "empty_stream no_subject"),
    ("nwb/pynwb_backcompat/0.3.0_poseestimation_two_cameras.nwb", "pose=1", "no_subject"),
    ("nwb/pynwb_backcompat/1.1.0_nwbfile.nwb", "", "no_subject"),
    (
        "nwb/pynwb_backcompat/1.5.1_imageseries_no_data.nwb",
        "video=1",
        "no_subject starting_frame_wrong video_missing",
    ),
    ("nwb/pynwb_backcompat/1.5.1_timeseries_no_data.nwb", "", "empty_stream no_subject"),
    ("nwb/pynwb_backcompat/1.5.1_timeseries_no_unit.nwb", "signal=1", "no_subject no_unit"),
    (
        "nwb/pynwb_backcompat/2.1.0_imageseries_non_external_format.nwb",
        "video=1",
        "format_not_external no_subject pynwb_warning starting_frame_wrong video_missing",
    ),
    (
        "nwb/pynwb_backcompat/2.1.0_imageseries_nonmatch_starting_frame.nwb",
        "video=1",
        "no_subject pynwb_warning starting_frame_wrong video_missing",
    ),
    ("nwb/pynwb_backcompat/2.1.0_nwbfile_with_extension.nwb", "signal=1", "no_subject"),
    ("nwb/pynwb_backcompat/2.2.0_subject_no_age__reference.nwb", "", ""),
    (
        "nwb_converted/eye_neon_demo.nwb",
        "eye=4, intervals=1, motion=1, video=1",
        "gaps jitter video_missing",
    ),
    ("nwb_converted/fly_80xy.nwb", "calcium=1, motion=2", "left_in_file"),
    (
        "nwb_converted/mouse_v1_park_mrcuts24.nwb",
        "calcium=1, eye=1, intervals=1, motion=1",
        "gaps left_in_file",
    ),
    (
        "nwb_converted/mouse_v1_park_mrcuts26.nwb",
        "calcium=1, eye=1, intervals=1, motion=1",
        "gaps left_in_file",
    ),
    (
        "nwb_converted/mouse_v1_park_mrcuts29.nwb",
        "calcium=1, eye=1, intervals=1, motion=1",
        "gaps left_in_file",
    ),
    ("nwb_converted/openfield_video_pose.nwb", "pose=1, video=1", ""),
    ("nwb_converted/rat_linear_track.nwb", "pose=1, spikes=1", "gaps timestamps_repeated"),
    ("nwb_converted/zebrafish_legare_regions.nwb", "calcium=1", "constant_units left_in_file"),
)


@pytest.mark.parametrize(("name", "kinds", "codes"), EXPECTED)
def test_a_recording_is_read_with_its_oddities_named(recordings, name, kinds, codes):
    with read_recording(recordings / name) as opened:
        report = check_streams(opened.streams, SETTINGS, opened.assumed_equal)
        found = Counter(node.attrs["stream_kind"] for node in opened.streams.children.values())
        assert ", ".join(f"{kind}={n}" for kind, n in sorted(found.items())) == kinds
        assert {f.code for f in [*opened.findings, *report.findings]} == set(codes.split())
        assert not report.unreadable
        STREAMS.check(opened.streams)
        repaired = repair_streams(opened.streams)
        STREAMS.check(repaired)
        for node in repaired.children.values():
            if "time" in node.coords:
                assert np.all(np.diff(node["time"].values) > 0)


def test_all_recordings_are_expected(recordings):
    there = {p.relative_to(recordings).as_posix() for p in recordings.glob("nwb*/**/*.nwb")}
    assert {name for name, _, _ in EXPECTED} == there


@pytest.mark.parametrize("name", [name for name, _, _ in EXPECTED])
def test_the_engine_opens_it_lazily_with_the_values_times_and_units_of_pynwb(
    recordings, name, compare_with_pynwb
):
    with xr.open_datatree(recordings / name, engine="nwb", create_default_indexes=False) as tree:
        unread = [
            variable
            for node in tree.children.values()
            for key, variable in node.to_dataset().variables.items()
            if "time" in variable.dims or "spike" in variable.dims or "time" in str(key)
        ]
        assert not any(isinstance(variable._data, np.ndarray) for variable in unread)
        # pynwb by the file's own extensions: the installed ndx-pose refuses an older file.
        with read_recording(recordings / name) as opened:
            assert compare_with_pynwb(tree, opened.nwbfile) == len(tree.children)


def test_animals_of_dlc2nwb_are_told_from_its_points(recordings: Path):
    with read_recording(recordings / "nwb/dlc2nwb_openfield_pose.nwb") as opened:
        pose = opened.streams["pose_estimation"]
        assert pose["individual"].values.tolist() == ["ind1"]
        assert pose["keypoint"].values.tolist() == ["leftear", "rightear", "snout", "tailbase"]
        assert pose["confidence"].shape == (2330, 4, 1)


def test_the_constant_regions_of_the_zebrafish_are_named(recordings: Path):
    with read_recording(recordings / "nwb_converted/zebrafish_legare_regions.nwb") as opened:
        report = check_streams(opened.streams, SETTINGS)
        assert [f.what for f in report.findings] == ["3 of 70 units never change: RH, Pit, GG."]


def test_the_video_of_the_open_field_is_found(recordings: Path):
    with read_recording(recordings / "nwb_converted/openfield_video_pose.nwb") as opened:
        attrs = opened.streams["behavior_video"].attrs
        assert attrs["frames"] == "external"
        assert "openfield_m3v1.mp4" in attrs["files"]
