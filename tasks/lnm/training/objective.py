"""What training minimises: each error of a batch with its weight, and its slopes in closed form."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.lnm.data.recording import Bools
from tasks.lnm.network.costs import Costs
from tasks.lnm.network.model import Inputs, Prediction
from tasks.lnm.network.windows import Cut
from tasks.lnm.training.machine import Machine

SCALE_WEIGHT = 0.1
MIDDLE_WEIGHT = 0.3


class Batch(NamedTuple):
    """A training batch: what the network reads, the truth, and what each error counts.

    Weights are 0 where nothing is asked, and sum up so that neurons and behaviour weigh the same.

    inputs : for the network
    z_BLV : z-scores, 0 where not valid
    error_BLV, spread_BLV : weights of the error of the location and of that of the scale
    middle_FLV : of the absolute error of the median, in the windows `forecast_F` alone
    """

    inputs: Inputs
    z_BLV: Tensor
    error_BLV: Tensor
    spread_BLV: Tensor
    middle_FLV: Tensor
    forecast_F: Tensor

    def share(self, machine: Machine) -> "Batch":
        """Return this process's windows, on its device; the weights stay those of the batch."""
        put = machine.put
        if machine.size == 1:
            return Batch(self.inputs.change(put), *(put(tensor) for tensor in self[1:]))
        own = slice(machine.rank, None, machine.size)
        kept = self.forecast_F % machine.size == machine.rank
        return Batch(
            self.inputs.change(lambda tensor: put(tensor[own])),
            put(self.z_BLV[own]),
            put(self.error_BLV[own]),
            put(self.spread_BLV[own]),
            put(self.middle_FLV[kept]),
            put(self.forecast_F[kept] // machine.size),
        )


def weigh_batch(cuts: Sequence[Cut], neural_V: Bools, counts_V: Bools) -> list[Batch]:
    """Give each asked value of a batch, which may be in pieces, its weight."""
    asked = [torch.from_numpy(cut.asked_BLV.numpy().astype(np.float32)) for cut in cuts]
    asked_V = np.sum([asked_BLV.sum((0, 1)).numpy() for asked_BLV in asked], axis=0)
    sides = [(own_V, int(asked_V[own_V].sum())) for own_V in (neural_V, ~neural_V)]
    parts = max(1, sum(count > 0 for _, count in sides))
    share_V = np.sum([own_V / (parts * max(1, count)) for own_V, count in sides], axis=0)
    # The variance of counts is their mean: they have no scale to learn.
    factors = (share_V, np.where(counts_V, 0, SCALE_WEIGHT))
    told = [torch.from_numpy(factor_V).float() for factor_V in factors]
    return [_weigh(cut, own, *told) for cut, own in zip(cuts, asked, strict=True)]


def _weigh(cut: Cut, asked_BLV: Tensor, share_V: Tensor, scale_V: Tensor) -> Batch:
    share_BLV = asked_BLV * share_V
    forecast_F = torch.tensor([b for b, mode in enumerate(cut.mode_B) if mode == "forecast"]).long()
    middle_FLV = MIDDLE_WEIGHT * share_BLV[forecast_F] * cut.weight_BLV[forecast_F].sqrt()
    about = (share_BLV * cut.weight_BLV, share_BLV * scale_V, middle_FLV, forecast_F)
    return Batch(cut.inputs, cut.z_BLV, *about)


@torch.no_grad()
def weigh_errors(prediction: Prediction, batch: Batch, costs: Costs) -> tuple[Tensor, Prediction]:
    """Return this process's part of a batch's loss, and its slope along every prediction.

    The losses are those of `model.losses`; their slopes are written out, because a quarter of a
    step went into elementwise steps forth and back through autograd.
    """
    location, scale, middle = prediction
    missed = location - batch.z_BLV
    squared = missed**2
    share = squared / scale**2
    total = (batch.spread_BLV * (0.5 * share + scale.log())).sum()
    scale_slope = batch.spread_BLV * (1 - share) / scale
    error, slope = squared, missed * 2
    own = costs.counted_C
    if len(own):
        count = (batch.z_BLV[..., own] * costs.sd_V[own] + costs.mean_V[own]).clamp_min(0)
        log_rate = location[..., own] + costs.log_mean_V[own]
        rate, cost_C = log_rate.exp(), 2 / costs.deviance_V[own]
        error[..., own] = cost_C * (torch.xlogy(count, count) - count * log_rate - count + rate)
        slope[..., own] = cost_C * (rate - count)
    total = total + (batch.error_BLV * error).sum()
    apart_FLV = middle[batch.forecast_F] - batch.z_BLV[batch.forecast_F]
    total = total + (batch.middle_FLV * apart_FLV.abs()).sum()
    middle_slope = torch.zeros_like(middle)
    middle_slope[batch.forecast_F] = batch.middle_FLV * apart_FLV.sign()
    return total, Prediction(batch.error_BLV * slope, scale_slope, middle_slope)
