"""Where units and channels lie, from every place in which NWB files say it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
import xarray as xr
from pynwb import ophys

from schemas.contracts.streams import STREAMS
from tasks.ingest import places
from tasks.ingest.opening import read_recording

NewFile = Callable[..., pynwb.NWBFile]
Save = Callable[..., Path]
MASKS = {
    "pixel_mask": [[(2, 4, 1.0)], [(0, 0, 1.0), (4, 8, 3.0)], [(5, 1, 0.5), (7, 1, 0.5)]],
    "voxel_mask": [[(2, 4, 1, 1.0)], [(0, 0, 1, 1.0), (4, 8, 1, 3.0)], [(6, 1, 1, 0.5)]],
}
CENTRES = np.array([[2.0, 4.0], [3.0, 6.0], [6.0, 1.0]])


def imaged(nwbfile: pynwb.NWBFile, location: str, masks: list[dict[str, Any]], **grid: Any) -> None:
    """Add a plane, ROIs of these masks, and a series of the ROIs 2, 0, 1."""
    light = ophys.OpticalChannel(name="c", description="c", emission_lambda=510.0)
    plane = nwbfile.create_imaging_plane(
        name="plane", optical_channel=light, description="p", location=location,
        device=nwbfile.create_device("scope"), excitation_lambda=920.0, indicator="G", **grid,
    )  # fmt: skip
    segmentation = ophys.ImageSegmentation()
    table = segmentation.create_plane_segmentation("cells", plane, name="cells")
    for mask in masks:
        table.add_roi(**mask)
    module = nwbfile.create_processing_module("ophys", "imaging")
    module.add(segmentation)
    dff = ophys.DfOverF()
    module.add(dff)
    series = ophys.RoiResponseSeries(
        name="cells", data=np.ones((9, 3)), unit="1", rate=5.0,
        rois=table.create_roi_table_region(region=[2, 0, 1], description="turned round"),
    )  # fmt: skip
    dff.add_roi_response_series(series)


def stream_of(path: Path, name: str) -> xr.Dataset:
    with read_recording(path) as opened:
        STREAMS.check(opened.streams)
        return opened.streams[name].to_dataset(inherit=False).load()


@pytest.mark.parametrize("name", [*MASKS])
@pytest.mark.parametrize("at_once", [1, 3, 2**20])
def test_listed_masks_give_their_centre_of_mass(
    new_file: NewFile, save: Save, monkeypatch: pytest.MonkeyPatch, name: str, at_once: int
) -> None:
    monkeypatch.setattr(places, "PIXELS_AT_ONCE", at_once)
    nwbfile = new_file()
    imaged(nwbfile, "V1", [{name: mask} for mask in MASKS[name]])
    cells = stream_of(save(nwbfile, "a.nwb"), "cells")
    assert cells["region"].values.tolist() == ["V1"] * 3
    np.testing.assert_allclose(cells["position"][:, :2], CENTRES[[2, 0, 1]])
    assert cells["position"].attrs["units"] == "pixels"
    assert cells["position"].shape[1] == (3 if name == "voxel_mask" else 2)


def test_one_position_reads_as_among_all(new_file: NewFile, save: Save) -> None:
    nwbfile = new_file()
    imaged(nwbfile, "V1", [{"pixel_mask": mask} for mask in MASKS["pixel_mask"]])
    with read_recording(save(nwbfile, "a.nwb")) as opened:
        position = opened.streams["cells/position"]
        np.testing.assert_allclose(position[1].values, CENTRES[0])
        np.testing.assert_allclose(position[[2, 0, 2], 1].values, CENTRES[[1, 2, 1], 1])


def test_images_on_a_known_grid_are_placed_in_its_unit(new_file: NewFile, save: Save) -> None:
    images = np.zeros((3, 8, 9))
    images[0, 2, 4] = images[1, 0, 0] = images[2, 5, 1] = images[2, 7, 1] = 1
    images[1, 4, 8] = 3
    nwbfile = new_file()
    imaged(
        nwbfile, "unknown", [{"image_mask": image} for image in images],
        grid_spacing=[2.0, 0.5], grid_spacing_unit="micrometers", origin_coords=[100.0, -1.0],
    )  # fmt: skip
    cells = stream_of(save(nwbfile, "a.nwb"), "cells")
    assert "region" not in cells.coords
    np.testing.assert_allclose(cells["position"], (CENTRES * [2, 0.5] + [100, -1])[[2, 0, 1]])
    assert cells["position"].attrs["units"] == "micrometers"


def test_an_empty_mask_has_no_position(new_file: NewFile, save: Save) -> None:
    nwbfile = new_file()
    masks = [{"pixel_mask": [(1, 1, 0.0)]}, {"pixel_mask": [(3, 2, 1.0)]}]
    imaged(nwbfile, "V1", [*masks, {"pixel_mask": [(4, 4, 1.0)]}])
    cells = stream_of(save(nwbfile, "a.nwb"), "cells")
    np.testing.assert_array_equal(cells["position"], [[4, 4], [np.nan] * 2, [3, 2]])


def test_units_lie_where_their_electrodes_do(new_file: NewFile, save: Save) -> None:
    nwbfile = new_file()
    group = nwbfile.create_electrode_group("g", "shank", "CA3", nwbfile.create_device("probe"))
    for n in range(3):
        nwbfile.add_electrode(location=f"CA{n}", group=group, x=1.0 + n, y=2.0, z=3.0)
    for electrode in (2, 0):
        nwbfile.add_unit(spike_times=[0.5], electrodes=[electrode])
    table = nwbfile.create_electrode_table_region([1, 0], "two")
    nwbfile.add_acquisition(
        pynwb.ecephys.ElectricalSeries(name="lfp", data=np.ones((9, 2)), electrodes=table, rate=9.0)
    )
    path = save(nwbfile, "a.nwb")
    units = stream_of(path, "units")
    assert units["region"].values.tolist() == ["CA2", "CA0"]
    np.testing.assert_array_equal(units["position"], [[3, 2, 3], [1, 2, 3]])
    assert units["position"].attrs["units"] == "um"
    channels = stream_of(path, "lfp")
    assert channels["region"].values.tolist() == ["CA1", "CA0"]
    np.testing.assert_array_equal(channels["position"][:, 0], [2, 1])


def test_a_group_tells_where_its_units_are_and_a_column_named_so_does_not(
    new_file: NewFile, save: Save
) -> None:
    nwbfile = new_file()
    group = nwbfile.create_electrode_group("g", "shank", "CA3", nwbfile.create_device("probe"))
    nwbfile.add_unit_column("position", "a number of its own")
    nwbfile.add_unit(spike_times=[0.5], electrode_group=group, position=7.0)
    units = stream_of(save(nwbfile, "a.nwb"), "units")
    assert units["region"].values.tolist() == ["CA3"]
    assert units["position_column"].values.tolist() == [7.0]
    assert "position" not in units.variables
