"""Asking a trained model: one primitive, and decode, encode, impute, forecast over it."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from schemas.errors import NotFoundError, SettingsError
from tasks.lnm.data.masks import TOGETHER, Mode
from tasks.lnm.data.recording import Bools, Columns, Floats, Recording
from tasks.lnm.data.runs import find_runs
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.answers import (
    answer_dataset,
    answer_draws,
    describe_question,
)
from tasks.lnm.queries.infer import distribution_of, predict_future, predict_hidden
from tasks.lnm.queries.rollout import roll_out

ALONE = (
    "the network alone, since no task reads just what is visible: courses that are generated given "
    "it (task generate) tend to know more"
)
"""Said of such an answer; else its task is."""


def query(
    model: TrainedModel,
    recording: Recording,
    targets: Sequence[str],
    *,
    visible: Sequence[str] | None = None,
    t0: float = -np.inf,
    t1: float = np.inf,
    seen_until: float | None = None,
    n_samples: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Predict targets in a stretch of time from what is visible.

    Parameters
    ----------
    recording : of the same columns as the model was trained on (its own session, or another time)
    targets : names of columns or of whole streams
    visible : likewise, what the model may see; all that is not a target if None
    t0, t1 : seconds; the answer covers t0 <= time <= t1
    seen_until : with it, nothing after that time is seen, targets before it are (a forecast);
        without it, targets are hidden at all times and all else is seen before and after
    n_samples : courses drawn from the predicted distributions. Of a forecast they are drawn
        sample by sample, each step given the last (so they are coherent in time); otherwise
        each value by itself

    Returns
    -------
    Dataset over (time, column) with `mean` and `sd` in the columns' own units, `quantile_value`
    (quantile, time, column), of a forecast `median` (what absolute errors are scored by), and
    `sample` (draw, time, column) if n_samples; NaN where no window reaches. Of angles, asked by
    cosine and sine, also `direction` (time, angle), the circular mean in radians, and
    `direction_quantile`. Of categories, and what is yes or no, also `probability` (time, category).
    A stream at its own rate has a column for each slot of a sample, with its `channel` and its
    `offset` in seconds from `time`; `answers.at_own_rate` puts them one after the other.
    Its attributes say what was asked of which model, and as which task it was answered.

    Raises
    ------
    NotFoundError, SettingsError, RecordingTooShortError
    """
    if recording.columns != model.columns:
        raise SettingsError(
            "the recording's columns are not those that the model was trained on.",
            where="query",
            remedy="Read it with read_recording and take the model's columns.",
        )
    asked_V = select_columns(model.columns, targets)
    seen_V = ~asked_V if visible is None else select_columns(model.columns, visible)
    rng = np.random.default_rng(seed)
    if seen_until is not None:
        found = _ask_future(model, recording, asked_V, seen_until, t1, n_samples, rng)
        return found.assign_attrs(describe_question(model, targets, visible, seed, t1=seen_until))
    if (asked_V & seen_V).any():
        raise SettingsError("a target is also visible.", where="query")
    asked = np.flatnonzero(asked_V)
    chosen_T = (recording.time_T >= t0) & (recording.time_T <= t1)
    mode, group = linear_task(model, seen_V, asked_V)
    runs = find_runs(recording.segment_T)
    located = predict_hidden(
        model, model.material(recording), runs, ~seen_V, mode, group, kept=asked
    )
    distribution = distribution_of(model, located.at(chosen_T), asked)
    drawn = [distribution.sample(rng) for _ in range(n_samples)]
    found = answer_dataset(
        distribution, model.columns.take(asked), drawn, recording.time_T[chosen_T]
    )
    described = describe_question(model, targets, visible, seed, t0=t0, t1=t1)
    return found.assign_attrs(described, answered_by=ALONE if mode == "units" else mode)


def decode(model: TrainedModel, recording: Recording, **when: float) -> xr.Dataset:
    """Predict behaviour from neurons; `when` is t0 and t1 of `query`."""
    return query(model, recording, side_of(model, neural=False), **when)  # type: ignore[arg-type]


def encode(model: TrainedModel, recording: Recording, **when: float) -> xr.Dataset:
    """Predict neurons from behaviour; `when` is t0 and t1 of `query`."""
    return query(model, recording, side_of(model, neural=True), **when)  # type: ignore[arg-type]


def impute(
    model: TrainedModel, recording: Recording, targets: Sequence[str], **when: float
) -> xr.Dataset:
    """Predict units or streams from everything else; `when` is t0 and t1 of `query`."""
    return query(model, recording, targets, **when)  # type: ignore[arg-type]


def forecast(
    model: TrainedModel,
    recording: Recording,
    seen_until: float,
    horizon_s: float,
    n_samples: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Predict everything for `horizon_s` seconds after `seen_until`, from the past alone."""
    return query(
        model,
        recording,
        model.columns.names,
        visible=(),
        t1=seen_until + horizon_s,
        seen_until=seen_until,
        n_samples=n_samples,
        seed=seed,
    )


def select_columns(columns: Columns, names: Sequence[str]) -> Bools:
    """Return which columns are named, by themselves, by their stream, or as categories together.

    Raises
    ------
    NotFoundError
        Lists every name that is none of these.
    """
    known = {*columns.names, *columns.streams, *columns.targets}
    if unknown := [name for name in names if name not in known]:
        raise NotFoundError(
            f"no column or stream {', '.join(map(repr, unknown))}.",
            where="query",
            remedy=f"Streams: {', '.join(dict.fromkeys(columns.streams))}.",
        )
    wanted = set(names)
    told = zip(columns.names, columns.streams, columns.targets, strict=True)
    return np.array([bool(wanted & {*names}) for names in told], bool)


def linear_task(model: TrainedModel, seen_V: Bools, asked_V: Bools) -> tuple[Mode, int]:
    """Return the task whose linear maps read only what is seen, and the group hidden.

    Without such a task the network answers alone ("units").
    """
    neural_V = model.columns.neural
    for mode in reversed(TOGETHER):
        group_V = model.skip.together[mode]
        for group in range(group_V.max(initial=-1) + 1):
            hidden_V = group_V == group
            if not (asked_V & ~hidden_V).any() and seen_V[~hidden_V].all():
                return mode, group
    if not (asked_V & neural_V).any() and seen_V[neural_V].all() and model.skip.has("decode"):
        return "decode", -1
    if not (asked_V & ~neural_V).any() and seen_V[~neural_V].all() and model.skip.has("encode"):
        return "encode", -1
    return "units", -1


def _ask_future(
    model: TrainedModel,
    recording: Recording,
    asked_V: Bools,
    seen_until: float,
    t1: float,
    n_samples: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    runs = find_runs(recording.segment_T)
    origin = int(np.searchsorted(recording.time_T, seen_until, side="right")) - 1
    own = [(start, stop) for start, stop in runs if start <= origin < stop]
    if not own:
        raise NotFoundError(f"nothing was recorded at {seen_until:g} s.", where="query")
    steps = round((t1 - recording.time_T[origin]) * model.rate_hz)
    most = model.skip.horizons[-1]
    if steps < 1 or (not n_samples and steps > most):
        raise SettingsError(
            f"a forecast without samples covers 1 to {most} samples, not {steps}.",
            where="query",
            remedy="Ask for n_samples, or for a shorter time.",
        )
    drawn: list[Floats] = []
    scaler, asked = model.scaler, np.flatnonzero(asked_V)
    if n_samples:
        from_here = max(own[0][0], origin + 1 - (model.window - most))
        past_LV = scaler.standardise(recording.values_TV[from_here : origin + 1])
        z_BTV = roll_out(model, np.stack([past_LV] * n_samples), steps, rng)
        drawn = [(z_TV * scaler.sd_V + scaler.mean_V)[:, asked_V] for z_TV in z_BTV]
    time_T = recording.time_T[origin] + np.arange(1, steps + 1) / model.rate_hz
    columns = model.columns.take(asked)
    if steps > most:
        return answer_draws(drawn, columns, time_T)
    context = np.array([origin - own[0][0] + 1])
    found = predict_future(model, model.material(recording), np.array([origin]), context, asked)
    ahead = found.at((0, slice(steps)))
    answer = answer_dataset(distribution_of(model, ahead, asked), columns, drawn, time_T)
    if ahead.middle is not None:
        own_scaler = scaler.take(asked)
        middle = ahead.middle * own_scaler.sd_V + own_scaler.mean_V
        answer["median"] = (("time", "column"), middle)
    return answer


def side_of(model: TrainedModel, *, neural: bool) -> list[str]:
    """Return the names of all units, or of all behaviour channels."""
    names = zip(model.columns.names, model.columns.neural, strict=True)
    return [name for name, is_neural in names if is_neural == neural]
