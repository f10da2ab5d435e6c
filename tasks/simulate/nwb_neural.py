"""The neurons as NWB objects: imaged traces with their ROIs, and spike times."""

import numpy as np
from numpy.typing import NDArray
from pynwb import H5DataIO, NWBFile
from pynwb.device import Device
from pynwb.misc import Units
from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, PlaneSegmentation

from tasks.simulate.animal import SimulatedAnimal
from tasks.simulate.neurons import SPIKE_CLOCK_HZ

FIELD_PX = 256
_ROI_RADIUS_PX = 4


def add_calcium(file: NWBFile, animal: SimulatedAnimal) -> None:
    """Add dF/F as `calcium`, each ROI labelled with the name its node has in the true graph."""
    plane = _add_imaging_plane(file, animal)
    segmentation = PlaneSegmentation(
        name="roi_table", description="Imaged neurons.", imaging_plane=plane
    )
    segmentation.add_column("label", "Name of the neuron, unique in this session.")
    names = animal.unit_names("calcium")
    for name, center in zip(names, _place_rois(len(names)), strict=True):
        segmentation.add_roi(pixel_mask=_disc(center), label=name)
    # The containers join the file before the traces refer to the ROIs: pynwb asks for that order.
    ophys = file.create_processing_module("ophys", "Imaged neurons.")
    ophys.add(ImageSegmentation(name="segmentation", plane_segmentations=[segmentation]))
    change = DfOverF(name="df_over_f")
    ophys.add(change)
    change.create_roi_response_series(
        name="calcium",
        description="Relative change of the indicator's fluorescence.",
        data=H5DataIO(animal.calcium_FU, compression="gzip"),
        rois=segmentation.create_roi_table_region(
            region=list(range(len(names))), description="All imaged neurons."
        ),
        unit="n.a.",
        starting_time=float(animal.frame_time_F[0]),
        rate=animal.settings.calcium_rate_hz,
    )


def add_spikes(file: NWBFile, animal: SimulatedAnimal) -> None:
    """Add the Units table, each unit named as its node in the true graph."""
    file.units = Units(
        name="units", description="Neurons recorded as spikes.", resolution=1 / SPIKE_CLOCK_HZ
    )
    file.add_unit_column("unit_name", "Name of the neuron, unique in this session.")
    whole = [[0.0, animal.settings.duration_s]]
    for name, spike_time in zip(animal.unit_names("units"), animal.spikes, strict=True):
        file.add_unit(spike_times=spike_time, obs_intervals=whole, unit_name=name)


def _add_imaging_plane(file: NWBFile, animal: SimulatedAnimal) -> object:
    microscope = file.add_device(
        Device(name="microscope", description="Simulated two-photon microscope.")
    )
    channel = OpticalChannel(
        name="green", description="The indicator's emission.", emission_lambda=513.0
    )
    return file.create_imaging_plane(
        name="imaging_plane",
        description="The plane that holds all imaged neurons.",
        optical_channel=channel,
        excitation_lambda=920.0,
        indicator="GCaMP6f",
        location="Superior colliculus, optic layer",
        device=microscope,
        imaging_rate=animal.settings.calcium_rate_hz,
        grid_spacing=[2.0, 2.0],
        grid_spacing_unit="micrometers",
        origin_coords=[0.0, 0.0],
        origin_coords_unit="micrometers",
    )


def _place_rois(count: int) -> NDArray[np.intp]:
    """Return ROI centres (roi, xy) on a square grid that fills the field of view."""
    side = int(np.ceil(np.sqrt(count)))
    step = FIELD_PX / side
    row_R, column_R = np.divmod(np.arange(count), side)
    return ((np.stack([column_R, row_R], axis=1) + 0.5) * step).astype(np.intp)


def _disc(center_2: NDArray[np.intp]) -> list[tuple[int, int, float]]:
    """Return the pixels (x, y, weight) of a disc around a centre."""
    reach = np.arange(-_ROI_RADIUS_PX, _ROI_RADIUS_PX + 1)
    x_PP, y_PP = np.meshgrid(reach, reach)
    inside_PP = x_PP**2 + y_PP**2 <= _ROI_RADIUS_PX**2
    x_P, y_P = x_PP[inside_PP] + center_2[0], y_PP[inside_PP] + center_2[1]
    return [(int(x), int(y), 1.0) for x, y in zip(x_P, y_P, strict=True)]
