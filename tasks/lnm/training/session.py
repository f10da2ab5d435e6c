"""A session ready for training: its parts, its scaler, its skip and its baselines' answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.common.splits import TimeSplit
from tasks.lnm.baselines.rivals import Rivals, fit_rivals
from tasks.lnm.baselines.shared import SharedMaps
from tasks.lnm.data.division import Beyond, Division, hold
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import (
    COLUMNS,
    Floats,
    Ints,
    Recording,
    Scaler,
    fit_scaler,
    usable_columns,
)
from tasks.lnm.data.runs import Runs, cut_folds, find_runs, forecast_origins, part_of_each_sample
from tasks.lnm.network.costs import Costs
from tasks.lnm.network.distributions import choose_heads
from tasks.lnm.network.heads import HeadName
from tasks.lnm.network.material import Material, prepare_material
from tasks.lnm.network.spread import residual_spread
from tasks.lnm.network.trained import make_costs
from tasks.lnm.network.traits import describe_columns
from tasks.lnm.network.windows import Mixing, TaskWeights
from tasks.lnm.training.chunks import Chunks


@dataclass(frozen=True)
class Session:
    """A recording divided for training: its z-scores, parts and linear predictions.

    origin_O, context_O : test samples to forecast from, and how many may be seen up to each
    rivals : the baselines' answers on the test part, and which is the bar of each target
    deviance_V : (column,) mean Poisson deviance of the mean predictor in training over the units
        of the column's stream; 1 if not counts
    traits_VF : (column, trait) what embeddings are guessed by
    heads : (column,) names of families of distributions
    reach : what the network's output is multiplied by; None is `spread`
    chunks : all of the training part, where the recording is but some of it
    """

    recording: Recording
    split: TimeSplit
    part_T: Ints
    material: Material
    spread: TaskWeights
    window: int
    origin_O: Ints
    context_O: Ints
    rivals: Rivals
    scaler: Scaler
    deviance_V: Floats
    traits_VF: Floats
    heads: tuple[HeadName, ...]
    reach: TaskWeights | None = None
    chunks: Chunks | None = None

    @property
    def costs(self) -> Costs:
        """What errors of means cost, as tensors."""
        return make_costs(self.recording.columns, self.scaler, self.deviance_V)

    def whole_mixing(self) -> Mixing:
        """Return the mixing of training: all of the network, in units of what is left over."""
        reach = self.reach or self.spread
        return Mixing(reach, self.spread, reach.forecast_HV)

    def runs(self, part: int) -> Runs:
        """Return the runs of one part: 0 train, 1 validation, 2 test."""
        return find_runs(self.recording.segment_T, np.where(self.part_T == part, 0, -1))

    def leave_out(self, fold: int, folds: int) -> "Session":
        """Return the session without a fold of its training part, and half a window beside it."""
        left_T = cut_folds(self.part_T, folds) == fold
        near_T = np.convolve(left_T, np.ones(self.window + 1), "same") > 0
        left = replace(self, part_T=np.where(near_T & (self.part_T == 0), -1, self.part_T))
        if self.chunks is None:
            return left
        return replace(left, chunks=self.chunks.leave_out(self.recording.time_T[left_T][[0, -1]]))

    def fold_runs(self, fold: int, folds: int) -> Runs:
        """Return the runs of a fold of the training part."""
        own_T = cut_folds(self.part_T, folds) == fold
        return find_runs(self.recording.segment_T, np.where(own_T, 0, -1))


Limit = Callable[[Division], TimeSplit]
"""Returns a division into less than all that is held."""


def divide_recording(
    recording: Recording | Source,
    settings: LnmSettings,
    limit: Limit | None = None,
    shared: SharedMaps | None = None,
) -> Session:
    """Divide a recording by time and prepare what of it fits in memory; see prepare_held."""
    return prepare_held(hold(recording, settings), settings, limit, shared)


def prepare_held(
    held: Division,
    settings: LnmSettings,
    limit: Limit | None = None,
    shared: SharedMaps | None = None,
) -> Session:
    """Leave out columns that tell nothing, and prepare the rest of what is held.

    Baselines, skip and gates are fitted to that, and verdicts given; the network is trained on all
    of the training part, unless there is a limit.

    shared : what other sessions taught of columns of like label
    """
    split = held.split if limit is None else limit(held)
    index = usable_columns(held.recording, split.train)
    session = prepare_session(held.recording.take(index), split, held.window, settings, shared)
    if held.beyond is None or limit is not None:
        return session
    return replace(session, chunks=_cut_chunks(session, held.beyond, index))


def _cut_chunks(session: Session, beyond: Beyond, index: Ints) -> Chunks:
    # Samples between those that a fold was fitted to belong to the fold before them.
    fitted = np.flatnonzero(session.material.fold_T >= 0)
    every = np.arange(len(beyond.training_T))
    before_T = np.searchsorted(beyond.held_T[fitted], every, side="right") - 1
    fold_T = session.material.fold_T[fitted[np.maximum(before_T, 0)]]
    about = (session.scaler, session.material.skip, session.window, beyond.values)
    return Chunks(beyond.source, index, beyond.training_T, fold_T, *about)


def prepare_session(
    recording: Recording,
    split: TimeSplit,
    window: int,
    settings: LnmSettings,
    shared: SharedMaps | None = None,
) -> Session:
    """Fit scaler and linear maps on the training part and apply them to every part by itself."""
    part_T = part_of_each_sample(split)
    scaler = fit_scaler(recording, split.train)
    z_TV = scaler.standardise(recording.values_TV)
    columns = recording.columns
    test_runs = find_runs(recording.segment_T, np.where(part_T == 2, 0, -1))
    origin_O, context_O = forecast_origins(test_runs, window)
    asked = (scaler, origin_O, window, settings, shared)
    skip, rivals, fold_T = fit_rivals(recording, z_TV, part_T, *asked)
    runs = find_runs(recording.segment_T, part_T)
    material = prepare_material(z_TV, runs, skip, columns, recording.rate_hz, fold_T)
    material = material.keep_forecasts(np.flatnonzero((part_T == 0) | (part_T == 1)))
    spread = residual_spread(material, runs, split.train)
    deviance_V = _mean_deviance(recording, split.train, scaler)
    traits_VF = describe_columns(recording, runs, split.train, scaler)
    heads = choose_heads(columns, recording.values_TV, split.train, scaler)
    about = (material, spread, window, origin_O, context_O, rivals, scaler, deviance_V, traits_VF)
    return Session(recording, split, part_T, *about, heads)


def _mean_deviance(recording: Recording, train: np.ndarray, scaler: Scaler) -> Floats:
    """Return a stream's Poisson deviance of predicting the means, a sample and unit; else 1."""
    deviance_V = np.ones(len(scaler.mean_V), np.float32)
    counted = np.flatnonzero(recording.columns.counts)
    for at in range(0, len(counted), COLUMNS):
        own = counted[at : at + COLUMNS]
        values_TV = recording.values_TV[np.ix_(train, own)].astype(np.float64)
        mean_V = np.maximum(scaler.mean_V[own], 1e-9)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_TV = np.where(values_TV > 0, np.log(values_TV / mean_V), 0)
        found_V = np.nanmean(2 * (values_TV * log_TV - values_TV + mean_V), axis=0)
        deviance_V[own] = np.maximum(found_V, 1e-6)
    # One for a stream: likelihoods are judged in sums over its units, of which some hardly fire.
    streams_V = np.array(recording.columns.streams)
    for stream in dict.fromkeys(streams_V[counted].tolist()):
        deviance_V[streams_V == stream] = deviance_V[streams_V == stream].mean()
    return deviance_V
