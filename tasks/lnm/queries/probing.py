"""Looking inside: hidden states, what can be read off them, are they like the brain's."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.data.runs import Runs, cut_windows
from tasks.lnm.linear.ridge import fit_ridge
from tasks.lnm.network.material import Material
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.infer import cut_hidden

BATCH = 64
CONTROLS = 5
MOST_STATES = 300


def hidden_states(
    model: TrainedModel, material: Material, runs: Runs, seen_V: Bools
) -> tuple[Ints, Floats]:
    """Run the first network over whole windows and keep what each layer holds of each patch.

    Windows do not overlap, so that a patch has one state; the rest of a run that fills no window
    is left out.

    Parameters
    ----------
    seen_V : (column,) columns that the model sees; all others are hidden

    Returns
    -------
    (patch,) first samples of the patches, and (layer, patch, feature) states: layer 0 is what was
    read, each other one block later.
    """
    window, patch = model.window, model.network.config.patch
    starts = cut_windows(runs, window, window)
    whole = starts[starts[:, 1] == window]
    # The last window of a run is laid to its end and would overlap the one before.
    apart = np.r_[True, np.diff(whole[:, 0]) >= window] if len(whole) else np.zeros(0, bool)
    whole = whole[apart]
    network = model.network.networks[0]
    layers = len(network.blocks) + 1
    width = network.norm.normalized_shape[0]
    states = np.zeros((layers, len(whole), window // patch, width), np.float32)
    network.eval()
    with torch.no_grad():
        for at in range(0, len(whole), BATCH):
            start_B, length_B = whole[at : at + BATCH].T
            cut = cut_hidden(model, material, start_B, length_B, ~seen_V, "units", -1)
            found = torch.stack(network.layers(cut.inputs))
            states[:, at : at + BATCH] = found.numpy()
    first = whole[:, 0][:, None] + np.arange(0, window, patch)
    return first.reshape(-1), states.reshape(layers, -1, width)


def embed(model: TrainedModel, material: Material, runs: Runs, time_T: np.ndarray) -> xr.Dataset:
    """Return the states of every layer when all columns are seen.

    Returns
    -------
    Dataset with `state` (layer, time, feature); time is that of each patch's first sample.
    """
    every_V = np.ones(len(model.columns.names), bool)
    first_P, state_XPD = hidden_states(model, material, runs, every_V)
    return xr.Dataset(
        {"state": (("layer", "time", "feature"), state_XPD)},
        {"time": ("time", time_T[first_P], {"units": "s"}), "layer": np.arange(len(state_XPD))},
    )


def probe_layers(
    model: TrainedModel, material: Material, runs: Sequence[Runs], seed: int = 0
) -> xr.Dataset:
    """Read each behaviour off each layer by ridge while the model sees neurons alone.

    Ridge is fitted on states of the training part, its penalty chosen on validation, R2 is of the
    test part. The control is the same with the behaviour shifted in time, wrapped round, by
    random amounts: what slow states explain of any slow course.

    runs : of training, validation and test

    Returns
    -------
    Dataset with `r2` and `control` (layer, column), the latter the mean over shifts.
    """
    neural_V = model.columns.neural
    wanted = np.flatnonzero(~neural_V)
    parts = [hidden_states(model, material, own, neural_V) for own in runs]
    first_P = np.concatenate([first for first, _ in parts])
    state_XPD = np.concatenate([state for _, state in parts], axis=1)
    part_P = np.repeat(np.arange(3), [len(first) for first, _ in parts])
    target_PO = _patch_means(material.z_TV[:, wanted], first_P, model.network.config.patch)
    rng = np.random.default_rng(seed)
    least, most = len(first_P) // 10, len(first_P) - len(first_P) // 10
    shifted = [np.roll(target_PO, int(rng.integers(least, most)), axis=0) for _ in range(CONTROLS)]
    r2, control = [], []
    for state_PD in state_XPD:
        r2.append(_probe(state_PD, target_PO, part_P))
        control.append(np.nanmean([_probe(state_PD, s, part_P) for s in shifted], axis=0))
    names = [model.columns.names[i] for i in wanted]
    return xr.Dataset(
        {"r2": (("layer", "column"), np.array(r2)), "control": (("layer", "column"), control)},
        {"layer": np.arange(len(state_XPD)), "column": names},
    )


def compare_geometry(
    model: TrainedModel, material: Material, runs: Runs, seed: int = 0
) -> xr.Dataset:
    """Correlate distances between states of the model with those between states of the brain.

    Representational similarity analysis (Kriegeskorte et al. 2008,
    doi:10.3389/neuro.06.004.2008): Spearman's rho of one less Pearson's r between patches of some
    runs, the model seeing behaviour alone, so that its geometry is not just its input's. The
    control shifts the brain's states in time.

    Returns
    -------
    Dataset with `similarity` and `control` (layer).
    """
    neural_V = model.columns.neural
    seen_V = ~neural_V if (~neural_V).any() else neural_V
    first_P, state_XPD = hidden_states(model, material, runs, seen_V)
    brain_PN = _patch_means(material.z_TV[:, neural_V], first_P, model.network.config.patch)
    own = np.flatnonzero(np.isfinite(brain_PN).all(1) & (brain_PN.std(1) > 1e-6))
    own = own[:: max(1, -(-len(own) // MOST_STATES))]
    brain = brain_PN[own]
    rng = np.random.default_rng(seed)
    shifts = [int(rng.integers(1, max(2, len(own)))) for _ in range(CONTROLS)]
    distance = pdist(brain, "correlation")
    shifted = [pdist(np.roll(brain, shift, axis=0), "correlation") for shift in shifts]
    similarity, control = [], []
    for state_PD in state_XPD:
        theirs = pdist(state_PD[own], "correlation")
        similarity.append(float(spearmanr(theirs, distance).statistic))
        control.append(float(np.mean([spearmanr(theirs, s).statistic for s in shifted])))
    return xr.Dataset(
        {"similarity": ("layer", similarity), "control": ("layer", control)},
        {"layer": np.arange(len(state_XPD))},
    )


def _patch_means(z_TV: Floats, first_P: Ints, patch: int) -> Floats:
    """Return (patch, column) means; NaN where a sample is."""
    return np.asarray(np.mean([z_TV[first_P + offset] for offset in range(patch)], axis=0))


def _probe(state_PD: Floats, target_PO: Floats, part_P: Ints) -> list[float]:
    """Return (output,) R2 on the test part."""
    fold_P = np.where(part_P == 0, 0, -1)
    ridge = fit_ridge(state_PD, target_PO.astype(np.float32), fold_P, part_P == 1)
    test = part_P == 2
    missed = target_PO[test] - ridge.predict(state_PD[test])
    there = target_PO[test] - np.nanmean(target_PO[test], axis=0)
    r2_O = 1 - np.nansum(missed**2, axis=0) / np.maximum(np.nansum(there**2, axis=0), 1e-9)
    return [float(r2) for r2 in r2_O]
