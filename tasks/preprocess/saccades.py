"""Saccades and fixations: what an eye does between blinks."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_behaviour import EyeCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.common.segments import true_runs
from tasks.preprocess.clock import Clock
from tasks.preprocess.eye import find_gaze
from tasks.preprocess.tables import interval_table

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FEWEST = 100
"""Fewer known velocities give no threshold."""


@dataclass(frozen=True)
class Gaze:
    """Where an eye looks: place_TS (time, [across, along]), NaN where unknown, and its unit."""

    time_T: Floats
    segment_T: NDArray[np.int32]
    place_TS: Floats
    rate_hz: float
    units: str


def tabulate_saccades(
    name: str, cleaned: xr.Dataset, settings: PreprocessSettings
) -> dict[str, xr.Dataset]:
    """Return the saccades and the fixations of a cleaned eye stream as intervals.

    Nothing where there is no gaze, or it is sampled too slowly for saccades (`saccade_rate_hz`).

    Returns
    -------
    `NAME_saccades` with amplitude, peak_velocity and direction (radians, from across to along),
    and `NAME_fixations` with the mean place across and along
    """
    gaze = _read_gaze(name, cleaned, settings)
    if gaze is None or not gaze.rate_hz >= settings.eye.saccade_rate_hz:
        return {}
    velocity_TS = gaze_velocity(gaze)
    moving_T = find_saccades(velocity_TS, gaze, settings.eye)
    known_T = np.isfinite(gaze.place_TS).all(1)
    still = [
        run
        for run in true_runs(known_T & ~moving_T, gaze.segment_T)
        if gaze.time_T[run.stop - 1] - gaze.time_T[run.start] >= settings.eye.fixation_s
    ]
    moving = true_runs(moving_T, gaze.segment_T)
    return {
        f"{name}_saccades": _saccade_table(cleaned, gaze, velocity_TS, moving),
        f"{name}_fixations": _fixation_table(cleaned, gaze, still),
    }


def _read_gaze(name: str, cleaned: xr.Dataset, settings: PreprocessSettings) -> Gaze | None:
    pair = find_gaze(name, [str(c) for c in cleaned["channel"].values])
    if pair is None:
        return None
    if "gaze_degrees" in cleaned:
        place, units = cleaned["gaze_degrees"], "deg"
    else:
        place = cleaned["value"].isel(channel=list(pair))
        units = str(cleaned["value"].attrs.get("units", "1"))
    clock = Clock(cleaned, settings.max_gap_periods)
    place_TS = np.asarray(place.values, np.float64)
    return Gaze(clock.time, clock.segment, place_TS, clock.rate_hz, units)


def gaze_velocity(gaze: Gaze) -> Floats:
    """Return velocity (time, direction) over five samples: (x2 + x1 - x-1 - x-2) / 6 dt.

    NaN within two samples of a gap or of an unknown place (Engbert and Kliegl 2003).
    """
    velocity_TS = np.full(gaze.place_TS.shape, np.nan)
    if len(gaze.place_TS) > 4:
        x = gaze.place_TS
        inner = (x[4:] + x[3:-1] - x[1:-3] - x[:-4]) * gaze.rate_hz / 6
        same = gaze.segment_T[4:] == gaze.segment_T[:-4]
        velocity_TS[2:-2] = np.where(same[:, None], inner, np.nan)
    return velocity_TS


def find_saccades(velocity_TS: Floats, gaze: Gaze, chosen: EyeCleaning) -> Mask:
    """Mark the samples of saccades: velocity outside an ellipse set by its own median spread.

    References
    ----------
    Engbert and Kliegl 2003, doi:10.1016/S0042-6989(03)00084-1: lambda 6, at least 12 ms
    """
    known_T = np.isfinite(velocity_TS).all(1)
    moving_T = np.zeros(len(velocity_TS), bool)
    if known_T.sum() < FEWEST:
        return moving_T
    known = velocity_TS[known_T]
    middle = np.median(known, axis=0)
    # The median of squares, not the mean: the saccades themselves must not raise the bar.
    spread = np.sqrt(np.median((known - middle) ** 2, axis=0))
    if not (spread > 0).all():
        return moving_T
    moving_T[known_T] = (((known - middle) / (chosen.saccade_lambda * spread)) ** 2).sum(1) > 1
    for run in true_runs(moving_T, gaze.segment_T):
        # A sample stands for its period, or a saccade of one sample would last no time.
        moving_T[run] = (run.stop - run.start) / gaze.rate_hz >= chosen.saccade_s
    return moving_T


def _saccade_table(
    cleaned: xr.Dataset, gaze: Gaze, velocity_TS: Floats, runs: list[slice]
) -> xr.Dataset:
    # Velocity is known two samples inside what is known: the places at both ends are known too.
    step = np.array(
        [gaze.place_TS[r.stop - 1] - gaze.place_TS[r.start] for r in runs], np.float64
    ).reshape(-1, 2)
    speed_T = np.hypot(*velocity_TS.T)
    peak = np.array([speed_T[run].max() for run in runs], np.float64)
    columns = {
        "amplitude": (np.hypot(*step.T), gaze.units),
        "peak_velocity": (peak, f"{gaze.units}/s"),
        "direction": (np.arctan2(step[:, 1], step[:, 0]), "rad"),
    }
    return interval_table(cleaned, _spans(gaze, runs), columns, "saccades")


def _fixation_table(cleaned: xr.Dataset, gaze: Gaze, runs: list[slice]) -> xr.Dataset:
    mean = np.array([gaze.place_TS[run].mean(0) for run in runs], np.float64).reshape(-1, 2)
    columns = {"across": (mean[:, 0], gaze.units), "along": (mean[:, 1], gaze.units)}
    return interval_table(cleaned, _spans(gaze, runs), columns, "fixations")


def _spans(gaze: Gaze, runs: list[slice]) -> list[tuple[float, float]]:
    return [(float(gaze.time_T[r.start]), float(gaze.time_T[r.stop - 1])) for r in runs]
