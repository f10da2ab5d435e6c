"""Free running: courses of neurons and behaviour that were never recorded, or not like this."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from schemas.errors import RecordingTooShortError, SettingsError
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Ints, Recording
from tasks.lnm.data.runs import find_runs
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.answers import column_coords
from tasks.lnm.queries.conditioning import Given
from tasks.lnm.queries.query import select_columns
from tasks.lnm.queries.rollout import roll_out


def generate(
    model: TrainedModel,
    recording: Recording | Source,
    duration_s: float,
    n_samples: int,
    seed: int = 0,
    *,
    given: Sequence[str] = (),
    t0: float | None = None,
) -> xr.Dataset:
    """Let the model run free: neurons and behaviour that were never recorded.

    Parameters
    ----------
    given : names of columns or streams that do what they did in the recording, while all else is
        drawn: what would neurons do if the animal ran like this?
    t0 : seconds; all courses start there, from what was recorded before. None: each starts from a
        random window, which it leaves behind, where nothing is given, for the length of one more
        window before the first sample that is returned

    Returns
    -------
    Dataset with `value` (sample, time, column) in the columns' own units, time from 0, and `start`
    (sample), when each course began in the recording

    Raises
    ------
    NotFoundError, RecordingTooShortError, SettingsError
        There is no such column, or no gapless time to start from, or all is given.
    """
    rng = np.random.default_rng(seed)
    steps = max(1, round(duration_s * model.rate_hz))
    index = np.flatnonzero(select_columns(model.columns, given))
    if len(index) == len(model.columns.names):
        raise SettingsError("all columns are given, none is left to generate.", where="query")
    context = model.window - model.skip.horizons[-1]
    after = steps if len(index) else 0
    start_B = _starts(recording, context, after, t0, n_samples, rng)
    found = [recording.between(at - context, at + after).values_TV for at in start_B]
    z_BLV = model.scaler.standardise(np.stack(found))
    left = 0 if len(index) or t0 is not None else model.window
    told = Given(index, z_BLV[:, context:, index]) if len(index) else None
    z_BTV = roll_out(model, z_BLV[:, :context], steps + left, rng, told)[:, left:]
    value_BTV = z_BTV * model.scaler.sd_V + model.scaler.mean_V
    # A course may start behind the last sample.
    start_s_B = recording.clock.time_T[start_B - 1] + 1 / model.rate_hz
    time_T = np.arange(steps) / model.rate_hz
    return xr.Dataset(
        {"value": (("sample", "time", "column"), value_BTV)},
        {
            "time": ("time", time_T, {"units": "s"}),
            "start": ("sample", start_s_B, {"units": "s"}),
            **column_coords(model.columns),
        },
        {"given": ", ".join(given)},
    )


def _starts(
    recording: Recording | Source,
    before: int,
    after: int,
    t0: float | None,
    count: int,
    rng: np.random.Generator,
) -> Ints:
    """Return first samples of courses with so many samples of the same run before and after."""
    runs = find_runs(recording.clock.segment_T)
    if t0 is None:
        able = [at for start, stop in runs for at in range(start + before, stop - after + 1)]
        if not able:
            raise RecordingTooShortError(f"no gapless {before + after} samples to start from.")
        return rng.choice(able, size=count)
    at = int(np.searchsorted(recording.clock.time_T, t0))
    own = [run for run in runs if run[0] + before <= at <= run[1] - max(1, after)]
    if not own:
        raise RecordingTooShortError(
            f"{before} samples before {t0:g} s and {after} after it are not all in one stretch.",
            where="query",
            remedy="Ask for another t0, or for fewer seconds.",
        )
    return np.full(count, at, np.int64)
