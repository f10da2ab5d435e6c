"""The noise of a trained model: chosen on validation by a proper score of what queries answer.

The network learns by likelihood where errors are large and where small. How much of that to
believe, how wide the whole is, and how heavy the tails are, is chosen for each column, task and
horizon: by the CRPS for continuous columns, whose likelihood would be that of the samples in which
nothing moves, by the likelihood for counts and angles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tasks.lnm.data.locations import location_to_values
from tasks.lnm.data.masks import TWO_SIDED
from tasks.lnm.data.recording import Columns, Floats, Ints
from tasks.lnm.data.runs import forecast_origins
from tasks.lnm.linear.skip import shift_back
from tasks.lnm.network.heads import Doubles, HeadName
from tasks.lnm.network.noise import Noise, plain_noise
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.network.windows import TaskWeights
from tasks.lnm.queries.infer import LEAST_SCALE, Located, predict_future, predict_task
from tasks.lnm.scores.gains import number_blocks
from tasks.lnm.training.dependence import gather_levels
from tasks.lnm.training.noise_fit import Asked, Fit
from tasks.lnm.training.session import Session

FEWEST = 32
"""Valid values of a column that are enough to choose by."""
PRIOR_WINDOWS = 4
"""Windows of a column's own values that weigh as much as those of all columns of its target."""
MOST_ROWS, MOST_VALUES = 3000, 60_000


def calibrate(model: TrainedModel, session: Session) -> Noise:
    """Choose the noise of every task by what the model, of plain noise, answers on validation.

    How values hang together is that of training and validation; see dependence.py.
    """
    horizons, judged = model.skip.horizons, session.rivals.judged
    columns = model.columns.take(judged)
    heads = tuple(model.network.config.heads[v] for v in judged)
    found = {}
    held_out, runs = session.part_T == 1, session.runs(1)
    real_TV = session.recording.values_TV[:, judged]

    def fit(located: Located, real_TV: Floats, spread_V: Floats, window: int) -> Doubles:
        asked = _ask(model, judged, located, real_TV, spread_V[judged])
        fitted_PV = fit_noise(asked, heads, columns, window)
        return _spread_over(fitted_PV, judged, model)

    for task in TWO_SIDED:
        found[task] = _plain(model.network.config.heads)
        if model.skip.has(task):
            located = predict_task(model, session.material, runs, task, judged).at(held_out)
            spread_V = model.mixing.spread.two_sided[task]
            found[task] = fit(located, real_TV[held_out], spread_V, session.window)
    origin_O, context_O = forecast_origins(runs, session.window)
    ahead = predict_future(model, session.material, origin_O, context_O, judged)
    spacing = int(np.median(np.diff(origin_O))) if len(origin_O) > 1 else 1
    block, ahead_HPV = max(1, session.window // spacing), []
    for at, horizon in enumerate(horizons):
        real_OV = shift_back(real_TV, runs, horizon)[origin_O]
        located = ahead.at((slice(None), horizon - 1))
        spread_V = model.mixing.spread.forecast_HV[at]
        ahead_HPV.append(fit(located, real_OV, spread_V, block))
    ahead_PHV = np.stack(ahead_HPV, axis=1).astype(np.float32)
    factor, power, tail = (
        TaskWeights({task: found[task][p].astype(np.float32) for task in TWO_SIDED}, ahead_PHV[p])
        for p in range(3)
    )
    noise = Noise(factor, power, tail, model.noise.level_RSV)
    return replace(noise, level_RSV=gather_levels(replace(model, noise=noise), session))


def _ask(
    model: TrainedModel, judged: Ints, located: Located, real_TV: Floats, spread_V: Floats
) -> Asked:
    """Bring truth and answers into z-scores, of counts and angles into their own units."""
    scaler, counts_V = model.scaler.take(judged), model.columns.counts[judged]
    angles_V = np.array(model.network.config.heads, object)[judged] == "von_mises"
    own_TV = location_to_values(located.location, scaler, counts_V)
    return Asked(
        np.where(counts_V | angles_V, real_TV, scaler.standardise(real_TV)),
        np.where(counts_V | angles_V, own_TV, located.location),
        located.scale,
        # Where validation was predicted without any error there is nothing to be a multiple of.
        np.maximum(spread_V, LEAST_SCALE),
        np.where(angles_V, scaler.sd_V, 1.0),
    )


def _spread_over(fitted_PV: Doubles, judged: Ints, model: TrainedModel) -> Doubles:
    """Give columns that were not judged the medians of those of their target that were."""
    targets = np.array(model.columns.targets, dtype=object)
    out_PV = _plain(model.network.config.heads)
    for target in dict.fromkeys(targets.tolist()):
        own = fitted_PV[:, targets[judged] == target]
        if own.size:
            out_PV[:, targets == target] = np.median(own, axis=1, keepdims=True)
    out_PV[:, judged] = fitted_PV
    return out_PV


def fit_noise(asked: Asked, heads: Sequence[HeadName], columns: Columns, window: int) -> Doubles:
    """Return (factor, power, tail) x (column) of least cost; 1, 1, 0 where too little was asked.

    window : rows that depend on each other
    """
    found_PV = _plain(heads)
    rows = len(asked.real_TV)
    blocks_T = number_blocks(rows, window)
    for name, group in _fitted_together(heads, columns):
        most = min(MOST_ROWS, max(FEWEST, MOST_VALUES // len(group)))
        thin = slice(None, None, max(1, -(-rows // most)))
        some = asked.thin(thin)
        known_TV = np.isfinite(some.real_TV[:, group]) & np.isfinite(some.mean_TV[:, group])
        own = group[known_TV.sum(0) >= FEWEST]
        if len(own) and (name != "von_mises" or len(own) == len(group)):
            prior = PRIOR_WINDOWS * window * len(some.real_TV) / rows
            found_PV[:, own] = Fit.of(some.take(own), name, prior).choose(blocks_T[thin])
    return found_PV


def _plain(heads: Sequence[HeadName]) -> Doubles:
    """Return (factor, power, tail) x (column) where nothing is known."""
    return plain_noise(np.array(heads) == "negative_binomial").astype(np.float64)


def _fitted_together(
    heads: Sequence[HeadName], columns: Columns
) -> Iterator[tuple[HeadName, Ints]]:
    """Yield the columns of each target, and cosine and sine of each angle; not yes or no."""
    names, targets = np.array(heads, dtype=object), np.array(columns.targets, dtype=object)
    for name in ("student_t", "negative_binomial"):
        for target in dict.fromkeys(targets[names == name].tolist()):
            yield name, np.flatnonzero((names == name) & (targets == target))
    for pair in columns.angles.values():
        yield "von_mises", np.array(pair)
