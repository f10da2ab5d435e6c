"""What many inputs are reduced to: channels of behaviour as they are, axes of all else."""

import numpy as np

from tasks.lnm.data.recording import Bools, Columns, Floats, Ints
from tasks.lnm.linear.ridge import MOST_INPUTS, principal_axes

MOST_CHANNELS = 64
"""Channels of behaviour at most that a kernel compares, or that are kept beside axes."""


def choose_axes(
    z_TV: Floats, inputs: Ints, columns: Columns, train: Bools, rng: np.random.Generator
) -> tuple[Floats | None, Ints]:
    """Return the axes that many inputs are reduced to, and which of them are behaviour.

    Units are reduced, behaviour is kept as it is: a thousand units would leave nothing of it. Of a
    channel with several slots their mean is kept, and how they differ is reduced with the units.
    Only where its channels are very many as well are they reduced too.

    Returns
    -------
    (input, axis), or None where there are few inputs; numbers of the axes, or of the inputs, that
    are channels of behaviour, one for each
    """
    neural_I = columns.neural[inputs]
    behaviour = np.flatnonzero(~neural_I)
    first, own_C = np.unique(columns.first[inputs[behaviour]], return_inverse=True)
    if len(inputs) <= MOST_INPUTS:
        # Of slots one is nearly what all are.
        return None, np.flatnonzero(np.isin(inputs, first))
    if len(first) > MOST_CHANNELS:
        return principal_axes(z_TV[np.ix_(train, inputs)], MOST_INPUTS, rng), behaviour[:0]
    mean_CK = np.eye(len(first), dtype=np.float32)[own_C]
    mean_CK /= mean_CK.sum(0)
    z_TI = z_TV[np.ix_(train, inputs[neural_I])]
    if len(first) < len(behaviour):
        z_TC = np.nan_to_num(z_TV[np.ix_(train, inputs[behaviour])])
        z_TI = np.concatenate([z_TI, z_TC - (z_TC @ mean_CK)[:, own_C]], axis=1)
    rank = min(MOST_INPUTS - len(first), z_TI.shape[1])
    found_IR = principal_axes(z_TI, rank, rng)
    axes_IR = np.zeros((len(inputs), len(first) + rank), np.float32)
    axes_IR[behaviour, : len(first)] = mean_CK
    units = int(neural_I.sum())
    axes_IR[neural_I, len(first) :] = found_IR[:units]
    if len(first) < len(behaviour):
        apart_CR = found_IR[units:]
        axes_IR[behaviour, len(first) :] = apart_CR - (mean_CK.T @ apart_CR)[own_C]
    return axes_IR, np.arange(len(first))
