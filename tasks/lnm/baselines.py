"""What the model is measured against: mean, last value, multiscale ridge."""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.infer import Located, as_values
from tasks.lnm.recording import Floats
from tasks.lnm.trained import TrainedModel


@dataclass(frozen=True)
class Answers:
    """The model's answer to one question and each baseline's, in the columns' own units.

    All see the same samples of the same columns, and none a sample more. Ridge is `skip.py`'s map
    for the task: multiscale smoothed inputs, penalties (and for forecasts the value to shrink to)
    chosen on validation. Spike counts keep ridge's answer above a tenth of the mean rate, below it
    an exponential makes it positive.

    model, ridge, persistence, mean : (..., column); persistence is the last value that was seen,
        NaN where the question hides a column at all times
    scale : standard deviation of the model's answer, NaN for counts (their variance is the mean)
    """

    model: Floats
    ridge: Floats
    persistence: Floats
    mean: Floats
    scale: Floats


def answer(model: TrainedModel, located: Located, last: Floats | None = None) -> Answers:
    """Put the baselines beside what the model predicts.

    last : z-scores of the last known values, broadcast to the prediction; None if there are none
    """
    scaler, shape = model.scaler, located.location.shape
    asked = np.isfinite(located.location)
    persistence = np.full(shape, np.nan, np.float32)
    if last is not None:
        persistence = np.broadcast_to(last * scaler.sd_V + scaler.mean_V, shape)
    return Answers(
        as_values(located.location, model),
        as_values(located.base, model),
        persistence,
        np.where(asked, scaler.mean_V, np.nan).astype(np.float32),
        np.where(model.columns.counts, np.nan, located.scale * scaler.sd_V).astype(np.float32),
    )
