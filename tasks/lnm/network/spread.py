"""What the skip leaves over in training: the unit of the network's output."""

import numpy as np

from tasks.lnm.data.masks import TWO_SIDED, Mode
from tasks.lnm.data.recording import Bools, Floats
from tasks.lnm.linear.wide import paired_rows
from tasks.lnm.network.material import Material
from tasks.lnm.network.windows import MOST_VALUES, TaskWeights

LEAST_SPREAD = 0.03


def residual_spread(material: Material, runs: list[tuple[int, int]], train: Bools) -> TaskWeights:
    """Return the spread of what linear predictions leave over in training.

    The network's output is multiplied by it, so that it has the same work to do at a horizon of
    one sample, where little is left over, as far ahead. 1 for counts and where ridge does worse
    than the mean.
    """
    counts_V, z_TV, horizons = material.counts_V, material.z_TV, material.skip.horizons
    rows, columns = np.flatnonzero(train), z_TV.shape[1]
    step = max(1, MOST_VALUES // (columns * len(horizons)))
    blocks = [rows[at : at + step] for at in range(0, len(rows), step)]
    two_sided: dict[Mode, Floats] = {task: np.ones(columns, np.float32) for task in TWO_SIDED}
    for task, base_TV in material.base.items():
        left_over = _LeftOver(columns)
        for own in blocks:
            left_over.add(z_TV[own] - base_TV[own])
        two_sided[task] = left_over.spread(counts_V)
    of_horizon = [_LeftOver(columns) for _ in horizons]
    for own in blocks:
        forecast_RHV, _ = material.forecast_base(own)
        for h, horizon in enumerate(horizons):
            paired_R = np.isin(own, paired_rows(runs, train, horizon))
            of_horizon[h].add(z_TV[own[paired_R] + horizon] - forecast_RHV[paired_R, h])
    return TaskWeights(two_sided, np.stack([left.spread(counts_V) for left in of_horizon]))


class _LeftOver:
    """Sums of squares of what a prediction leaves over, block after block of rows."""

    def __init__(self, columns: int) -> None:
        self.power_V, self.known_V = np.zeros(columns), np.zeros(columns, np.int64)

    def add(self, left_TV: Floats) -> None:
        self.power_V += np.nansum(left_TV.astype(np.float64) ** 2, axis=0)
        self.known_V += np.isfinite(left_TV).sum(0)

    def spread(self, counts_V: Bools) -> Floats:
        power_V = np.where(self.known_V > 0, self.power_V / np.maximum(self.known_V, 1), 1.0)
        spread_V = np.clip(np.sqrt(power_V), LEAST_SPREAD, 1.0)
        return np.where(counts_V, 1.0, spread_V).astype(np.float32)
