"""What shares of the network's output cost on time that the network has not seen.

Asked are the stitched answers that queries give, in the metrics of the verdicts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.data.locations import Functional, location_to_values
from tasks.lnm.data.masks import TWO_SIDED, Mode
from tasks.lnm.data.recording import Floats, Ints
from tasks.lnm.data.runs import Runs, forecast_origins
from tasks.lnm.linear.skip import shift_back
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.infer import LEAST_SCALE, Located, predict_future, predict_task
from tasks.lnm.scores.gains import block_costs, number_blocks
from tasks.lnm.scores.scoring import FEWEST_SAMPLES, functional_of, metrics_of
from tasks.lnm.training.gating import SHARES, Evidence, Measured, Question
from tasks.lnm.training.session import Session


def gather_evidence(model: TrainedModel, session: Session, runs: Runs) -> Evidence:
    """Measure what shares of a network's output cost in some runs, whatever its gates are."""
    whole = replace(model, mixing=session.whole_mixing())
    return dict([*_hidden(whole, session, runs), *_ahead(whole, session, runs)])


def _hidden(
    model: TrainedModel, session: Session, runs: Runs
) -> Iterator[tuple[Question, Measured]]:
    judged, values_TV = session.rivals.judged, session.recording.values_TV
    rows = np.concatenate([np.arange(*run) for run in runs]) if runs else np.zeros(0, np.int64)
    for task in TWO_SIDED:
        if model.skip.has(task):
            located = predict_task(model, session.material, runs, task, judged).at(rows)
            real_TV = values_TV[np.ix_(rows, judged)]
            yield from _weigh(model, session, (task, 0), real_TV, located, session.window)


def _ahead(
    model: TrainedModel, session: Session, runs: Runs
) -> Iterator[tuple[Question, Measured]]:
    judged = session.rivals.judged
    origin_O, context_O = forecast_origins(runs, model.window)
    if len(origin_O) < FEWEST_SAMPLES:
        return
    found = predict_future(model, session.material, origin_O, context_O, judged)
    block = max(1, model.window // int(np.median(np.diff(origin_O))))
    values_TV = session.recording.values_TV[:, judged]
    for at, horizon in enumerate(model.skip.horizons):
        real_OV = shift_back(values_TV, runs, horizon)[origin_O]
        located = found.at((slice(None), horizon - 1))
        yield from _weigh(model, session, ("forecast", at), real_OV, located, block)


def _weigh(
    model: TrainedModel,
    session: Session,
    asked: tuple[Mode, int],
    real_TV: Floats,
    located: Located,
    block: int,
) -> Iterator[tuple[Question, Measured]]:
    """Yield what each target costs with each share."""
    judged = session.rivals.judged
    targets = np.array(model.columns.targets)[judged]
    answered_V = np.isfinite(located.location).any(0)
    for target in dict.fromkeys(targets[answered_V].tolist()):
        own = np.flatnonzero((targets == target) & answered_V)
        costs = {}
        horizon = model.skip.horizons[asked[1]] if asked[0] == "forecast" else -1
        for metric in metrics_of(bool(model.columns.counts[judged[own[0]]]), horizon):
            mixed = _mix(model, judged[own], own, located, functional_of(metric))
            sd_V = model.scaler.sd_V[judged[own]]
            costs[functional_of(metric)] = block_costs(metric, real_TV[:, own], mixed, sd_V, block)
        if costs["mean"].size:
            none = np.zeros((len(SHARES), 0))
            missed_AC = _missed(model, judged[own], own, real_TV, located, block)
            measured = Measured(costs["mean"], costs.get("median", none), missed_AC)
            yield (asked[0], target, asked[1]), measured


def _mix(
    model: TrainedModel,
    columns: Ints,
    own: Ints,
    located: Located,
    functional: Functional,
) -> Iterable[Floats]:
    """Yield the values answered with each share of the network."""
    counts_V = model.columns.counts[columns] & (functional == "mean")
    base_TV, whole_TV = located.base[:, own], located.location[:, own]
    if functional == "median" and located.base_middle is not None and located.middle is not None:
        base_TV, whole_TV = located.base_middle[:, own], located.middle[:, own]
    for share in SHARES:
        mixed_TV = base_TV + share * (whole_TV - base_TV)
        yield location_to_values(mixed_TV, model.scaler.take(columns), counts_V)


def _missed(
    model: TrainedModel, columns: Ints, own: Ints, real_TV: Floats, located: Located, block: int
) -> NDArray[np.float64]:
    """Return (share, block) squared errors over the network's variance; 1 of counts, unused."""
    valid_T = np.isfinite(real_TV[:, own]).any(1)
    block_T = number_blocks(int(valid_T.sum()), block)
    if model.columns.counts[columns].any():
        return np.ones((len(SHARES), block_T[-1] + 1))
    scaler = model.scaler.take(columns)
    z_TV = ((real_TV[:, own] - scaler.mean_V) / scaler.sd_V)[valid_T]
    base_TV, whole_TV, scale_TV = (
        part[valid_T][:, own] for part in (located.base, located.location, located.scale)
    )
    found: list[NDArray[np.float64]] = []
    for share in SHARES:
        left_TV = z_TV - base_TV - share * (whole_TV - base_TV)
        missed_T = np.nanmean((left_TV / np.maximum(scale_TV, LEAST_SCALE)) ** 2, axis=1)
        found.append(np.bincount(block_T, missed_T) / np.bincount(block_T))
    return np.array(found)
