"""What errors of means cost: squares of continuous columns, Poisson deviances of spike counts."""

from typing import NamedTuple

import torch
from torch import Tensor

from tasks.lnm.network.model import Prediction


class Costs(NamedTuple):
    """What turns z-scores into counts and losses into shares of the mean predictor's.

    mean_V, sd_V, log_mean_V : of training, in each column's own units; log of counts only
    deviance_V : mean Poisson deviance of the mean predictor in training, one for a stream
    counted_C : numbers of the columns of counts
    """

    counts_V: Tensor
    mean_V: Tensor
    sd_V: Tensor
    log_mean_V: Tensor
    deviance_V: Tensor
    counted_C: Tensor

    def take(self, columns: Tensor) -> "Costs":
        """Return what the losses of single values need, given the column of each."""
        own = [tensor[columns] for tensor in self[:-1]]
        return Costs._make([*own, self.counts_V[columns].nonzero()[:, 0]])


def losses(prediction: Prediction, z_BLV: Tensor, costs: Costs) -> tuple[Tensor, Tensor]:
    """Return what each value costs, in units of what predicting its mean would cost.

    First the error of the location: squared for continuous columns, the Poisson deviance for
    counts; 1 on average for the mean predictor. Second the negative log-likelihood of the scale
    about the detached location (0 for counts): so the noise a column has does not
    weigh on its mean (beta-NLL with beta 1; Seitzer et al. 2022, arXiv:2203.09168).
    """
    location, scale, _ = prediction
    squared = (z_BLV - location) ** 2
    spread = 0.5 * squared.detach() / scale**2 + scale.log()
    if not bool(costs.counts_V.any()):
        return squared, spread
    count = (z_BLV * costs.sd_V + costs.mean_V).clamp_min(0)
    # Continuous columns pass through both branches: a mean of 1 keeps theirs, unused, finite.
    log_rate = torch.where(costs.counts_V, location + costs.log_mean_V, 0.0)
    deviance = 2 * (torch.xlogy(count, count) - count * log_rate - count + log_rate.exp())
    error = torch.where(costs.counts_V, deviance / costs.deviance_V, squared)
    return error, torch.where(costs.counts_V, 0.0, spread)
