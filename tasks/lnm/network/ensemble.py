"""Networks that answer together: each has left out another part of the training time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tasks.lnm.network.guess import Rows
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

    def rows(self, asked_A: Tensor | None = None) -> list[Rows]:
        """Return the embeddings of each network's columns."""
        return [network.rows(asked_A) for network in self.networks]

    def forward(self, inputs: Inputs, rows: Sequence[Rows] | None = None) -> Prediction:
        """Return the mean location, scale and median."""
        known: Sequence[Rows | None] = rows or [None] * len(self.members)
        found = [member(inputs, own) for member, own in zip(self.members, known, strict=True)]
        if len(found) == 1:
            return Prediction._make(found[0])
        return Prediction._make(torch.stack(parts).mean(0) for parts in zip(*found, strict=True))
