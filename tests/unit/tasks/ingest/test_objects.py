"""Every NWB object and variant, written by pynwb, opened by engine "nwb", compared with pynwb."""

import json
from collections.abc import Callable

import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr
from ndx_pose import (
    MultiCameraPoseEstimation,
    PoseEstimation,
    PoseEstimationSeries,
    Skeleton,
    Skeletons,
)
from pynwb import TimeSeries, behavior, ecephys, icephys, image, misc, ogen, ophys
from pynwb.epoch import TimeIntervals
from pynwb.event import EventsTable

from schemas.contracts.streams import STREAMS
from schemas.settings.ingest import IngestSettings
from tasks.ingest.check import check_streams
from tasks.ingest.opening import read_recording
from tasks.ingest.repair import repair_streams

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* is deprecated"),
    pytest.mark.filterwarnings("ignore:The linked table for DynamicTableRegion"),
    pytest.mark.filterwarnings("ignore:Neither source_timeseries nor source_channels"),
]

Builder = Callable[[pynwb.NWBFile], None]
BUILDERS: dict[str, tuple[str, Builder]] = {}
RNG = np.random.default_rng(11)


def holds(streams: str) -> Callable[[Builder], Builder]:
    """Register a builder of a file that should hold these streams: "name=kind name=kind"."""

    def register(builder: Builder) -> Builder:
        BUILDERS[builder.__name__] = (streams, builder)
        return builder

    return register


def electrodes(nwbfile, count=4):
    group = nwbfile.create_electrode_group("g", "shank", "CA1", nwbfile.create_device("probe"))
    nwbfile.add_electrode_column("depth", "um")
    for n in range(count):
        nwbfile.add_electrode(x=1.0 * n, y=2.0 * n, location="CA1", group=group, depth=10.0 * n)
    return nwbfile.create_electrode_table_region([*range(count)][::-1], "all")


def imaging_plane(nwbfile):
    channel = ophys.OpticalChannel(name="c", description="c", emission_lambda=510.0)
    return nwbfile.create_imaging_plane(
        name="plane", optical_channel=channel, description="p", excitation_lambda=920.0,
        device=nwbfile.create_device("scope"), indicator="GCaMP", location="V1",
    )  # fmt: skip


def behaviour(nwbfile, *held):
    module = nwbfile.create_processing_module("behavior", "b")
    for container in held:
        module.add(container)


def points(count=10, dims=2, confidence=True, unit="pixels", **clock):
    more = {"confidence": RNG.random(count), "confidence_definition": "p"} if confidence else {}
    return [
        PoseEstimationSeries(
            name=name, data=RNG.random((count, dims)), unit=unit, reference_frame="corner",
            **(clock or {"rate": 10.0}), **more,
        )
        for name in ("nose", "tail")
    ]  # fmt: skip


@holds("units=spikes")
def units_with_everything(nwbfile):
    electrodes(nwbfile)
    nwbfile.add_unit_column("quality", "q")
    for n, count in enumerate((20, 3, 7)):
        nwbfile.add_unit(
            spike_times=np.sort(RNG.uniform(0, 4, count)), obs_intervals=[[0.0, 4.0], [5.0, 9.0]],
            electrodes=[n, n + 1], quality="good", waveform_mean=RNG.random((5, 2)),
            waveforms=[[RNG.random(5) for _ in range(2)] for _ in range(count)],
        )  # fmt: skip


@holds("units=spikes sorted=spikes")
def units_in_two_tables_one_of_them_silent(nwbfile):
    nwbfile.add_unit(spike_times=np.array([], float))
    table = misc.Units(name="sorted", description="k")
    table.add_unit(spike_times=[1.0, 2.0])
    nwbfile.create_processing_module("ecephys", "e").add(table)


@holds("")
def units_without_a_column_of_times(nwbfile):
    nwbfile.add_unit_column("quality", "q")
    nwbfile.add_unit(quality="good")


@holds("raw=lfp")
def voltages_with_gains_and_offset(nwbfile):
    nwbfile.add_acquisition(
        ecephys.ElectricalSeries(
            name="raw", data=RNG.integers(-9, 9, (100, 4)).astype(np.int16), rate=1000.0,
            electrodes=electrodes(nwbfile), conversion=1e-6, offset=0.5,
            channel_conversion=[1.0, 2.0, 3.0, 4.0],
        )
    )  # fmt: skip


@holds("lfp=lfp")
def voltages_of_one_electrode(nwbfile):
    electrodes(nwbfile)
    region = nwbfile.create_electrode_table_region([2], "one")
    series = ecephys.ElectricalSeries(
        name="ElectricalSeries",
        data=RNG.random(100),
        electrodes=region,
        timestamps=np.arange(100.0),
    )
    module = nwbfile.create_processing_module("ecephys", "e")
    module.add(ecephys.LFP(electrical_series=series))


@holds("snippets=events event_detection=events feature_extraction=events raw=lfp")
def detected_spikes(nwbfile):
    region = electrodes(nwbfile)
    raw = ecephys.ElectricalSeries(name="raw", data=RNG.random((9, 4)), electrodes=region, rate=9.0)
    nwbfile.add_acquisition(raw)
    snippets = ecephys.SpikeEventSeries(
        name="snippets", data=RNG.random((3, 4, 20)), timestamps=[0.0, 1.0, 2.0], electrodes=region
    )
    nwbfile.add_acquisition(snippets)
    module = nwbfile.create_processing_module("ecephys", "e")
    module.add(
        ecephys.EventDetection(
            detection_method="threshold", source_electricalseries=raw, source_idx=[1, 2],
            times=[0.1, 0.2],
        )
    )  # fmt: skip
    module.add(
        ecephys.FeatureExtraction(
            electrodes=region, description=["a", "b"], times=[1.0, 2.0, 3.0],
            features=RNG.random((3, 4, 2)),
        )
    )  # fmt: skip


@holds("rewards=events licks=events none=events")
def tables_of_events(nwbfile):
    rewards = EventsTable(name="rewards", description="unsorted")
    rewards.add_column(name="size", description="ul")
    rewards.add_column(name="event_type", description="several types in one table")
    for timestamp, duration, size in ((3.0, np.nan, 5), (1.0, 0.2, 2), (2.0, 0.1, 9)):
        rewards.add_event(timestamp=timestamp, duration=duration, size=size, event_type=f"t{size}")
    licks = EventsTable(name="licks", description="l")
    for timestamp, side in ((1.0, "left"), (2.0, "right")):
        licks.add_event(timestamp=timestamp, annotation=side)
    for table in (rewards, licks, EventsTable(name="none", description="empty")):
        nwbfile.add_events_table(table)


@holds("licks=events reward=events notes=events states=events")
def older_events(nwbfile):
    licks = TimeSeries(name="licks", data=np.ones(3), unit="n.a.", timestamps=[1.0, 2.0, 4.0])
    reward = TimeSeries(name="reward", data=[1.0, 2.0], unit="ml", timestamps=[5.0, 3.0])
    behaviour(nwbfile, behavior.BehavioralEvents(time_series=[licks, reward]))
    notes = misc.AnnotationSeries(name="notes", data=["door", "light"], timestamps=[2.0, 1.0])
    nwbfile.add_acquisition(notes)
    nwbfile.add_acquisition(
        TimeSeries(name="states", data=["a", "b"], unit="n.a.", timestamps=[0.0, 1.0])
    )


@holds("radians=motion degrees=motion symbol=motion nothing=motion head_direction=motion")
def headings(nwbfile):
    units = {"radians": "radians", "degrees": "degrees", "symbol": "°", "nothing": "meters"}
    series = [
        behavior.SpatialSeries(
            name=name, data=RNG.random(9), rate=4.0, unit=unit, reference_frame="room"
        )
        for name, unit in units.items()
    ]
    behaviour(nwbfile, behavior.CompassDirection(spatial_series=series))
    nwbfile.add_acquisition(
        behavior.SpatialSeries(
            name="head_direction", data=RNG.random(9), rate=4.0, unit="rad", reference_frame="room"
        )
    )


@holds("pose_estimation=pose video=video")
def pose_of_a_video(nwbfile):
    camera = nwbfile.create_device("cam1")
    video = image.ImageSeries(
        name="video", external_file=["a.mp4"], format="external", rate=10.0, starting_frame=[0],
        num_samples=10, dimension=[640, 480],
    )  # fmt: skip
    nwbfile.add_acquisition(video)
    edges = np.array([[0, 1]], np.uint8)
    skeleton = Skeleton(name="mouse", nodes=["nose", "tail"], edges=edges, subject=nwbfile.subject)
    pose = PoseEstimation(
        pose_estimation_series=points(), device=camera, scorer="DLC", skeleton=skeleton,
        source_software="DeepLabCut", source_video=video,
    )  # fmt: skip
    behaviour(nwbfile, Skeletons(skeletons=[skeleton]), pose)


@holds("tracks=pose")
def pose_in_space_without_confidence(nwbfile):
    skeleton = Skeleton(name="mouse", nodes=["nose", "tail"])
    series = points(dims=3, confidence=False, unit="mm", timestamps=np.arange(10.0))
    pose = PoseEstimation(name="tracks", pose_estimation_series=series, skeleton=skeleton)
    behaviour(nwbfile, Skeletons(skeletons=[skeleton]), pose)


@holds("space=pose space_left=pose space_right=pose")
def poses_of_several_cameras(nwbfile):
    skeleton = Skeleton(name="mouse", nodes=["nose", "tail"])
    views = [
        PoseEstimation(
            name=name, pose_estimation_series=points(), skeleton=skeleton,
            device=nwbfile.create_device(f"camera_{name}"),
        )
        for name in ("left", "right")
    ]  # fmt: skip
    space = MultiCameraPoseEstimation(
        name="space", pose_estimation_series=points(dims=3, unit="mm"), pose_estimations=views,
        skeleton=skeleton,
    )  # fmt: skip
    behaviour(nwbfile, Skeletons(skeletons=[skeleton]), space)


@holds("trials=intervals epochs=intervals invalid_times=intervals grooming=intervals")
def intervals(nwbfile):
    nwbfile.add_trial_column("choice", "c")
    nwbfile.add_trial_column("licks", "l", index=True)
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, choice="left", licks=[0.1, 0.2])
    nwbfile.add_trial(start_time=2.0, stop_time=3.0, choice="right", licks=[])
    nwbfile.add_epoch(start_time=0.0, stop_time=3.0, tags=["a", "b"])
    nwbfile.add_invalid_time_interval(start_time=2.0, stop_time=3.0, tags=["artefact"])
    series = misc.IntervalSeries(name="grooming", data=[1, -1, 2, -2], timestamps=np.arange(4.0))
    behaviour(nwbfile, behavior.BehavioralEpochs(interval_series=series))


@holds("grey=video colour=video")
def images_inside_the_file(nwbfile):
    grey = RNG.integers(0, 255, (6, 5, 4)).astype(np.uint8)
    nwbfile.add_acquisition(
        image.ImageSeries(name="grey", data=grey, unit="lux", rate=9.0, conversion=0.5, offset=1.0)
    )
    colour = RNG.integers(0, 255, (6, 5, 4, 3)).astype(np.uint8)
    nwbfile.add_acquisition(image.ImageSeries(name="colour", data=colour, unit="n.a.", rate=9.0))


@holds("camera=video")
def images_in_several_files_that_are_not_there(nwbfile):
    nwbfile.add_acquisition(
        image.ImageSeries(
            name="camera", external_file=["one.avi", "sub/two.avi"], format="external",
            timestamps=np.arange(20) / 10, starting_frame=[0, 10],
        )
    )  # fmt: skip


@holds("two=video volumes=video one=video grating=video")
def imaging_movies_and_stimuli(nwbfile):
    plane, fields = imaging_plane(nwbfile), {"unit": "n.a.", "rate": 9.0}
    for name, shape in (("two", (6, 5, 4)), ("volumes", (6, 5, 4, 2))):
        nwbfile.add_acquisition(
            ophys.TwoPhotonSeries(name=name, data=RNG.random(shape), imaging_plane=plane, **fields)
        )
    counts = RNG.integers(0, 9, (6, 5, 4)).astype(np.uint16)
    nwbfile.add_acquisition(
        ophys.OnePhotonSeries(name="one", data=counts, imaging_plane=plane, **fields)
    )
    nwbfile.add_stimulus(
        image.OpticalSeries(
            name="grating", data=RNG.random((3, 4, 4)), distance=1.0, field_of_view=[1.0, 1.0],
            orientation="up", **fields,
        )
    )  # fmt: skip


@holds("shown=events")
def indices_of_still_images(nwbfile):
    stills = [image.GrayscaleImage(name=name, data=RNG.random((3, 3))) for name in "ab"]
    images = pynwb.base.Images(name="stills", images=stills)
    images.order_of_images = pynwb.base.ImageReferences(name="order_of_images", data=stills)
    nwbfile.add_stimulus_template(images)
    nwbfile.add_stimulus(
        image.IndexSeries(
            name="shown", data=np.array([0, 1, 0], np.uint32), indexed_images=images, unit="N/A",
            timestamps=[0.0, 1.0, 2.0],
        )
    )  # fmt: skip


@holds("a=signal same_clock=signal same_data=signal")
def series_that_share_data_or_times(nwbfile):
    a = TimeSeries(name="a", data=np.arange(5.0), unit="V", timestamps=np.arange(5.0) * 2)
    nwbfile.add_acquisition(a)
    nwbfile.add_acquisition(
        TimeSeries(name="same_clock", data=np.arange(5.0) * 3, unit="V", timestamps=a)
    )
    nwbfile.add_acquisition(TimeSeries(name="same_data", data=a, unit="V", rate=3.0))


@holds("labelled=signal fine=signal truth=signal deep=signal features=signal")
def plain_series(nwbfile):
    labelled = TimeSeries(
        name="labelled", data=np.arange(4.0), unit="V", rate=2.0, resolution=np.nan,
        control=np.array([0, 1, 1, 0], np.uint8), control_description=["ok", "bad"],
    )  # fmt: skip
    fine = TimeSeries(name="fine", data=np.arange(4.0), unit="V", rate=2.0, resolution=0.5)
    truth = TimeSeries(name="truth", data=np.array([True, False]), unit="n.a.", rate=2.0)
    deep = TimeSeries(name="deep", data=RNG.random((5, 2, 3, 2)), unit="V", rate=1.0)
    features = misc.AbstractFeatureSeries(
        name="features", data=RNG.random((5, 2)), rate=1.0, features=["ori", "tf"],
        feature_units=["degrees", "hertz"],
    )  # fmt: skip
    for series in (labelled, fine, truth, deep, features):
        nwbfile.add_acquisition(series)


@holds("reward_time=events speed=motion")
def empty_streams_stored_as_one_nan(nwbfile):
    for name, unit in (("reward_time", "second"), ("speed", "cm/s")):
        nwbfile.add_acquisition(
            TimeSeries(name=name, data=[np.nan], unit=unit, timestamps=[np.nan])
        )


@holds("one=signal several=signal")
def optogenetic_stimuli(nwbfile):
    site = ogen.OptogeneticStimulusSite(
        name="site", device=nwbfile.create_device("laser"), description="d",
        excitation_lambda=470.0, location="V1",
    )  # fmt: skip
    nwbfile.add_ogen_site(site)
    for name, shape in (("one", 10), ("several", (10, 3))):
        nwbfile.add_stimulus(
            ogen.OptogeneticSeries(name=name, data=RNG.random(shape), site=site, rate=10.0)
        )


@holds("spectra=signal")
def band_powers(nwbfile):
    spectra = misc.DecompositionSeries(
        name="spectra", data=RNG.random((20, 3, 2)), metric="power", rate=10.0, unit="V**2/Hz",
    )  # fmt: skip
    for name, limits in (("theta", (4.0, 8.0)), ("gamma", (30.0, 80.0))):
        spectra.add_band(band_name=name, band_limits=limits, band_mean=6.0, band_stdev=1.0)
    nwbfile.create_processing_module("ecephys", "e").add(spectra)


@holds("command=signal membrane=signal current=signal rest=signal")
def patch_clamp(nwbfile):
    device = nwbfile.create_device("amp")
    electrode = nwbfile.create_icephys_electrode(name="e", description="e", device=device)
    common = {"rate": 10.0, "electrode": electrode, "gain": 0.02}
    data = RNG.random(5)
    command = icephys.CurrentClampStimulusSeries(name="command", data=data, **common)
    counts = np.arange(5, dtype=np.int16)
    membrane = icephys.CurrentClampSeries(name="membrane", data=counts, conversion=1e-3, **common)
    nwbfile.add_stimulus(command)
    for series in (
        membrane,
        icephys.VoltageClampSeries(name="current", data=data, **common),
        icephys.IZeroClampSeries(name="rest", data=data, **common),
    ):
        nwbfile.add_acquisition(series)
    row = nwbfile.add_intracellular_recording(
        electrode=electrode, stimulus=command, response=membrane
    )
    nwbfile.add_icephys_simultaneous_recording(recordings=[row])


@holds("signal=calcium neuropil=calcium")
def roi_traces(nwbfile):
    segmentation = ophys.ImageSegmentation()
    fluorescence = ophys.Fluorescence()
    module = nwbfile.create_processing_module("ophys", "o")
    module.add(segmentation)
    module.add(fluorescence)
    table = segmentation.create_plane_segmentation(
        description="rois", imaging_plane=imaging_plane(nwbfile)
    )
    table.add_column("cell_type", "c")
    for n in range(4):
        table.add_roi(image_mask=np.ones((4, 4)), cell_type=f"t{n}")
    for name in ("signal", "neuropil"):
        region = table.create_roi_table_region(region=[3, 1], description="two of them")
        fluorescence.create_roi_response_series(
            name=name, data=RNG.random((20, 2)), rois=region, unit="a.u.", rate=5.0
        )


@holds("gaze=eye pupil=eye position=pose")
def eye_and_position(nwbfile):
    time = np.arange(10.0)
    gaze = behavior.SpatialSeries(
        name="gaze", data=RNG.random((10, 2)), rate=4.0, reference_frame="eye", unit="degrees"
    )
    pupil = TimeSeries(name="pupil", data=RNG.random(10), unit="mm", timestamps=time)
    place = behavior.SpatialSeries(
        name="SpatialSeries", data=RNG.random((10, 2)), timestamps=time, reference_frame="box"
    )
    behaviour(
        nwbfile,
        behavior.EyeTracking(spatial_series=gaze),
        behavior.PupilTracking(time_series=pupil),
        behavior.Position(spatial_series=place),
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_streams_are_as_pynwb_reads_them(name, new_file, save, compare_with_pynwb):
    streams, build = BUILDERS[name]
    nwbfile = new_file()
    build(nwbfile)
    path = save(nwbfile)
    with (
        xr.open_datatree(path, engine="nwb") as tree,
        pynwb.NWBHDF5IO(str(path), "r") as io,
    ):
        found = {n: node.attrs["stream_kind"] for n, node in tree.children.items()}
        assert found == dict(pair.split("=") for pair in streams.split())
        compare_with_pynwb(tree, io.read())
    with read_recording(path) as opened:
        STREAMS.check(opened.streams)
        STREAMS.check(repair_streams(opened.streams).compute())
        assert "not_understood" not in {f.code for f in opened.findings}


@pytest.fixture
def opened(new_file, save):
    """Return a function that builds a file and opens it by the engine."""
    trees = []

    def build(name: str) -> xr.DataTree:
        nwbfile = new_file()
        BUILDERS[name][1](nwbfile)
        trees.append(xr.open_datatree(save(nwbfile, f"{name}.nwb"), engine="nwb"))
        return trees[-1]

    yield build
    for tree in trees:
        tree.close()


def test_units_say_where_they_were_and_how_they_looked(opened, new_file):
    units = opened("units_with_everything")["units"]
    assert units["site_unit"].values.tolist() == [0, 0, 1, 1, 2, 2]
    assert units["site_electrode"].values.tolist() == [f"electrode_{n}" for n in (0, 1, 1, 2, 2, 3)]
    assert units["electrode_depth"].values.tolist() == [0.0, 10.0, 20.0]
    assert units["waveform_mean"].dims == ("unit", "waveform_sample", "waveform_channel")
    assert units["waveforms"].shape == (2 * 30, 5)
    assert units["waveform_start"].values.tolist() == list(range(0, 60, 2))
    assert units["waveform_start"][[7, 3]].values.tolist() == [14, 6]
    assert units["waveform_stop"][29] == 60


def test_channels_carry_what_the_electrodes_table_says(opened):
    voltage = opened("voltages_with_gains_and_offset")["raw/voltage"]
    assert voltage["depth"].values.tolist() == [30.0, 20.0, 10.0, 0.0]
    assert voltage["location"].dims == ("channel",)


def test_headings_say_by_which_period_they_wrap(opened):
    tree = opened("headings")
    periods = {name: node.attrs.get("wrap_period") for name, node in tree.children.items()}
    assert periods == {
        "radians": 2 * np.pi, "degrees": 360.0, "symbol": 360.0, "nothing": None,
        "head_direction": 2 * np.pi,
    }  # fmt: skip


def test_poses_name_their_skeleton_camera_and_video(opened):
    attrs = opened("pose_of_a_video")["pose_estimation"].attrs
    assert json.loads(attrs["skeleton_nodes"]) == ["nose", "tail"]
    assert json.loads(attrs["skeleton_edges"]) == [[0, 1]]
    assert json.loads(attrs["source_video"]) == ["acquisition/video"]
    assert (attrs["camera"], attrs["fps"]) == ("cam1", 10.0)
    assert opened("poses_of_several_cameras")["space_left"].attrs["camera"] == "camera_left"


def test_small_print_is_kept(opened):
    tree = opened("plain_series")
    assert tree["labelled/control"].values.tolist() == [0, 1, 1, 0]
    assert json.loads(tree["labelled/control"].attrs["meanings"]) == ["ok", "bad"]
    assert "resolution" not in tree["labelled"].attrs
    assert tree["fine"].attrs["resolution"] == 0.5
    assert json.loads(tree["features"].attrs["channel_units"]) == ["deg", "Hz"]
    assert tree["deep/channel"].values[-1] == "1_2_1"
    assert opened("intervals")["epochs/tags"].values.tolist() == ["a, b"]
    bands = opened("band_powers")["spectra/channel"].values.tolist()
    assert bands == ["0_theta", "0_gamma", "1_theta", "1_gamma", "2_theta", "2_gamma"]


def test_what_the_lake_does_not_take_is_named(new_file, save):
    nwbfile = new_file()
    for name in ("imaging_movies_and_stimuli", "indices_of_still_images", "intervals"):
        BUILDERS[name][1](nwbfile)
    with read_recording(save(nwbfile)) as recording:
        left = {f.where for f in recording.findings if f.code in ("left_in_file", "columns_left")}
        assert left == {
            "acquisition/one", "acquisition/two", "acquisition/volumes",
            "stimulus/presentation/grating", "stimulus/templates/stills", "intervals/trials",
        }  # fmt: skip
        assert "two" not in recording.streams.children


def test_numbers_of_single_spikes_come_along_with_them(opened, new_file, save):
    """Amplitudes as a column of their own, sorted with the spikes, and as waveforms tell them."""
    nwbfile = new_file()
    nwbfile.add_unit_column("amplitudes", "uV", index=True)
    nwbfile.add_unit_column("phases", "of other spikes", index=True)
    nwbfile.add_unit(spike_times=[2.0, 1.0], amplitudes=[20.0, 10.0], phases=[0.0])
    nwbfile.add_unit(spike_times=[3.0], amplitudes=[30.0], phases=[1.0, 2.0])
    with read_recording(save(nwbfile)) as recording:
        units = repair_streams(recording.streams)["units"].load()
        assert units["amplitudes"].values.tolist() == [10.0, 20.0, 30.0]
        assert "phases" not in units
        (left,) = [f.what for f in recording.findings if f.code == "columns_left"]
        assert left == "Columns left in the file: phases."
    units = opened("units_with_everything")["units"]
    start, stop, waves = (
        units[name].values for name in ("waveform_start", "waveform_stop", "waveforms")
    )
    heights = [np.ptp(waves[a:b], axis=1).max() for a, b in zip(start, stop, strict=True)]
    np.testing.assert_allclose(units["spike_amplitude"], heights, rtol=1e-6)
    np.testing.assert_allclose(
        units["spike_amplitude"][[7, 3, 7]], np.array(heights)[[7, 3, 7]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("ends", "counts"), [([2, 3], [2, 1]), ([9, 4], [4, 0]), ([3, 1], [3, 0]), ([-1, 4], [0, 4])]
)
def test_an_index_that_does_not_divide_the_spikes_costs_no_more_than_it_must(
    new_file, save, ends, counts
):
    nwbfile = new_file()
    nwbfile.add_unit_column("amplitudes", "uV", index=True)
    nwbfile.add_unit_column("spike_time", "a name that is taken")
    for start in (0.0, 10.0):
        nwbfile.add_unit(spike_times=[start, start + 1], amplitudes=[10.0, 20.0], spike_time=3.0)
    path = save(nwbfile)
    with h5py.File(path, "r+") as file:
        index = file["units/spike_times_index"]
        attrs = dict(index.attrs)
        del file["units/spike_times_index"]
        file["units"].create_dataset("spike_times_index", data=np.array(ends)).attrs.update(attrs)
    with read_recording(path) as recording:
        STREAMS.check(recording.streams)
        units = recording.streams["units"]
        assert np.bincount(units["unit_index"], minlength=2).tolist() == counts
        assert units["spike_time"].values.tolist() == [0.0, 1.0, 10.0, 11.0][: sum(counts)]
        (broken,) = [f for f in recording.findings if f.code == "broken_index"]
        assert (broken.severity, bool(broken.repair)) == ("error", True)
        check_streams(recording.streams, IngestSettings())


@pytest.mark.parametrize("name", ["obs_intervals", "electrodes"])
@pytest.mark.parametrize(("ends", "owners"), [([1, 1], [0]), ([2, 9], [0, 0]), ([2, 1], [0, 0])])
def test_what_belongs_to_no_unit_is_given_to_none(new_file, save, name, ends, owners):
    nwbfile = new_file()
    electrodes(nwbfile)
    for n in range(2):
        nwbfile.add_unit(spike_times=[1.0, 2.0], electrodes=[n], obs_intervals=[[0.0, 9.0]])
    path = save(nwbfile)
    with h5py.File(path, "r+") as file:
        file[f"units/{name}_index"][:] = ends
    with read_recording(path) as recording:
        units = recording.streams["units"]
        owner = {"obs_intervals": "observed_unit", "electrodes": "site_unit"}[name]
        assert units[owner].values.tolist() == owners
        check_streams(recording.streams, IngestSettings())
        assert not [f for f in recording.findings if f.severity == "error"]


@pytest.mark.filterwarnings("ignore:Shape of data does not match")
def test_units_without_electrode_or_observation_do_not_hide_the_others(new_file, save):
    nwbfile = new_file()
    electrodes(nwbfile)
    for at, spans in (([1], [[0.0, 9.0]]), ([], [[0.0, 9.0]]), ([3], np.zeros((0, 2)))):
        nwbfile.add_unit(spike_times=[1.0, 2.0], electrodes=at, obs_intervals=spans)
    with read_recording(save(nwbfile)) as recording:
        units = recording.streams["units"].load()
        assert units["region"].values.tolist() == ["CA1", "", "CA1"]
        np.testing.assert_array_equal(units["electrode_depth"], [10.0, np.nan, 30.0])
        report = check_streams(recording.streams, IngestSettings())
        (outside,) = [f for f in report.findings if f.code == "spikes_outside_observation"]
        assert outside.what.endswith("observed: unit_2 (2).")


@pytest.mark.filterwarnings("ignore:Shape of data does not match")
def test_units_that_all_say_nothing_of_their_observation_count_as_not_told(new_file, save):
    nwbfile = new_file()
    nwbfile.add_unit(spike_times=[1.0, 2.0], obs_intervals=np.zeros((0, 2)))
    with read_recording(save(nwbfile)) as recording:
        assert "observed_start" not in recording.streams["units"]


def test_half_precision_does_not_lose_small_volts(new_file, save):
    nwbfile, data = new_file(), np.linspace(-1000, 1000, 50).astype(np.float16)
    nwbfile.add_acquisition(TimeSeries(name="x", data=data, unit="V", rate=9.0, conversion=1e-6))
    with read_recording(save(nwbfile)) as recording:
        values = recording.streams["x/value"].values[:, 0]
        np.testing.assert_allclose(values, data.astype(float) * 1e-6, rtol=1e-6)


def test_the_files_own_tables_keep_their_names(new_file, save):
    nwbfile = new_file()
    nwbfile.add_invalid_time_interval(start_time=2.0, stop_time=3.0)
    other = TimeIntervals(name="invalid_times", description="of a tracker")
    other.add_row(start_time=0.0, stop_time=1.0)
    behaviour(nwbfile, other)
    with read_recording(save(nwbfile)) as recording:
        sources = {name: node.attrs["source"] for name, node in recording.streams.children.items()}
        assert sources == {
            "invalid_times": "intervals/invalid_times",
            "behavior_invalid_times": "processing/behavior/invalid_times",
        }


@pytest.mark.parametrize(
    ("unit", "low", "high", "doubtful"),
    [
        ("radians", 0.0, 359.0, True),
        ("degrees", 0.0, 359.0, False),
        ("degrees", -3.1, 3.1, True),
        ("radians", -3.1, 3.1, False),
        ("degrees", -1.0, 1.0, False),
    ],
)
def test_headings_whose_unit_cannot_be_right_are_named(new_file, save, unit, low, high, doubtful):
    nwbfile = new_file()
    series = behavior.SpatialSeries(
        name="h", data=np.linspace(low, high, 99), rate=9.0, unit=unit, reference_frame="room"
    )
    behaviour(nwbfile, behavior.CompassDirection(spatial_series=series))
    with read_recording(save(nwbfile)) as recording:
        report = check_streams(recording.streams, IngestSettings())
        assert ("angle_unit_doubtful" in {f.code for f in report.findings}) == doubtful
