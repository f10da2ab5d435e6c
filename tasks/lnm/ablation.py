"""What each part is worth: the same questions with a part of the input, or of the model, gone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.data.recording import Floats
from tasks.lnm.evaluation import examine
from tasks.lnm.network.material import prepare_material
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.network.windows import Mixing, TaskWeights
from tasks.lnm.scores.scoring import Score, key_coords
from tasks.lnm.training.session import Session
from tasks.lnm.training.train import train_model

MEANS = {
    "whole": "the model as it is",
    "no_neurons": "no neuron is seen",
    "no_behaviour": "no behaviour is seen",
    "shuffled_units": "neurons are taken for one another",
    "session_only": "nothing is seen: what the embedding of the session tells",
    "skip_only": "the network adds nothing",
    "no_skip": "the network answers alone, trained so",
}
"""Inputs are taken from the trained model, which is not trained anew, but for the last."""


def ablate(
    model: TrainedModel, session: Session, whole: Sequence[Score], settings: LnmSettings
) -> xr.Dataset:
    """Examine a model on the test part with parts of it, or of what it sees, taken away.

    whole : its scores with nothing taken away

    Returns
    -------
    Dataset with `value` (variant, score), NaN where a variant has no such score, and the
    coordinates task, target, metric and horizon of each score.
    """
    z_TV, neural_V = session.material.z_TV, model.columns.neural
    turned = np.arange(len(neural_V))
    units = np.flatnonzero(neural_V)
    turned[units] = np.random.default_rng(settings.seed).permutation(units)
    seen: Mapping[str, Callable[[], Floats]] = {
        "no_neurons": lambda: np.where(neural_V, np.nan, z_TV),
        "no_behaviour": lambda: np.where(neural_V, z_TV, np.nan),
        "shuffled_units": lambda: z_TV[:, turned],
        "session_only": lambda: np.full_like(z_TV, np.nan),
    }
    found = {"whole": whole}
    for done, (name, change) in enumerate(seen.items()):
        report_progress("ablate the model", done, len(MEANS) - 1, name)
        changed = _see(session, model, change().astype(np.float32))
        found[name] = examine(model, changed, settings).scores
    found["skip_only"] = examine(_shut(model), session, settings).scores
    report_progress("ablate the model", len(MEANS) - 2, len(MEANS) - 1, "no_skip")
    alone, _ = train_model(session, settings.model_copy(update={"linear_skip": False}))
    found["no_skip"] = examine(alone, session, settings).scores
    report_progress("ablate the model", len(MEANS) - 1, len(MEANS) - 1)
    return _dataset(found)


def _see(session: Session, model: TrainedModel, z_TV: Floats) -> Session:
    """Return the session with other values to see; the truth stays."""
    material = session.material
    runs = [run for part in range(3) for run in session.runs(part)]
    about = (material.skip, model.columns, material.rate_hz, material.fold_T)
    return replace(session, material=prepare_material(z_TV, sorted(runs), *about))


def _shut(model: TrainedModel) -> TrainedModel:
    closed = TaskWeights.filled(0.0, len(model.skip.horizons), len(model.columns.names))
    return replace(model, mixing=Mixing(closed, model.mixing.spread, closed.forecast_HV))


def _dataset(found: Mapping[str, Sequence[Score]]) -> xr.Dataset:
    keys = [score.key for score in found["whole"]]
    value = np.full((len(found), len(keys)), np.nan)
    for row, scores in enumerate(found.values()):
        own = {score.key: score.model for score in scores}
        value[row] = [own.get(key, np.nan) for key in keys]
    return xr.Dataset(
        {"value": (("variant", "score"), value)},
        {"variant": list(found), **key_coords(keys)},
        {"variant_means": "; ".join(f"{name}: {MEANS[name]}" for name in found)},
    )
