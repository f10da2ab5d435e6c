"""How the truth lay about forecasts: together across columns, and over the steps ahead.

Forecast distributions are of one column and step each. What is drawn of many at once takes, instead
of independent levels, those at which the truth lay after some moment of the recording: so columns
that move together are drawn together, courses are as smooth as the animal is, and each value keeps
the distribution that was predicted (the Schaake shuffle, Clark et al. 2004,
doi:10.1175/1525-7541(2004)005<0243:TSSAMF>2.0.CO;2).
"""

import numpy as np

from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.data.runs import Runs, forecast_origins
from tasks.lnm.network.noise import hold_levels
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.infer import distribution_of, predict_future
from tasks.lnm.training.session import Session

STEPS_SHARE = 4
"""Steps that are drawn at once: the farthest horizon over this. More would copy what was recorded;
fewer feed back noise that is not white, which widens the courses."""
FEWEST, MOST_VALUES = 16, 4_000_000
"""Moments without which draws are independent, and levels that are kept."""


def gather_levels(model: TrainedModel, session: Session) -> Floats:
    """Return the levels of the truth after moments of the training and validation part.

    In training the skip's forecasts are those of the fits without the moment's fold.

    Returns
    -------
    (moment, step, column); see Noise.level_RSV. Moments after which all is known are taken alone if
    they are half of all.
    """
    steps, columns = max(1, model.skip.horizons[-1] // STEPS_SHARE), len(model.columns.names)
    runs = [*session.runs(0), *session.runs(1)]
    moment_R, context_R = forecast_origins(runs, session.window)
    kept = np.flatnonzero(_reach(moment_R, steps, runs))
    kept = kept[:: max(1, -(-len(kept) // max(FEWEST, MOST_VALUES // (steps * columns))))]
    if len(kept) < FEWEST:
        return model.noise.level_RSV
    about = (moment_R[kept], context_R[kept])
    located = predict_future(model, session.material, *about, steps=steps)
    real_RSV = session.recording.values_TV[moment_R[kept, None] + np.arange(1, steps + 1)]
    level_RSV = distribution_of(model, located).levels(real_RSV, np.random.default_rng(0))
    level_RSV = hold_levels(level_RSV).astype(np.float32)
    known_R = np.isfinite(level_RSV).all((1, 2))
    return level_RSV[known_R] if 2 * known_R.sum() >= len(known_R) else level_RSV


def _reach(moment_R: Ints, steps: int, runs: Runs) -> Bools:
    """Tell which moments have so many samples after them in their run."""
    last_R = np.zeros_like(moment_R)
    for start, stop in runs:
        last_R[(moment_R >= start) & (moment_R < stop)] = stop - 1
    return np.asarray(moment_R + steps <= last_R)
