"""Networks that answer together: each has left out another part of the training time."""

from collections.abc import Sequence

import torch
from torch import nn

from tasks.lnm.network.model import Inputs, LargeNeuralModel, ModelConfig, Prediction


class Ensemble(nn.Module):
    """The mean of what some networks of the same shape predict (Breiman 1996, bagging)."""

    def __init__(self, members: Sequence[LargeNeuralModel]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def networks(self) -> list[LargeNeuralModel]:
        """The networks; hidden states are looked at in the first."""
        return [member for member in self.members if isinstance(member, LargeNeuralModel)]

    @property
    def config(self) -> ModelConfig:
        """The shape of each network."""
        return self.networks[0].config

    def forward(self, inputs: Inputs) -> Prediction:
        """Return the mean location, scale and median."""
        found = [member(inputs) for member in self.members]
        if len(found) == 1:
            return Prediction._make(found[0])
        return Prediction._make(torch.stack(parts).mean(0) for parts in zip(*found, strict=True))
