"""How many steps, at what learning rate, with which optimiser."""

import math

import torch
from torch import nn

from schemas.settings.lnm import LnmSettings

WARM_UP = 0.05
MOST_STEPS, FEWEST_STEPS, FULL_STEPS_COLUMNS = 1200, 200, 150


def count_steps(settings: LnmSettings, columns: int) -> int:
    """Return the steps that are set, or as many as take about a minute on two cores."""
    if settings.steps is not None:
        return settings.steps
    return max(FEWEST_STEPS, min(MOST_STEPS, MOST_STEPS * FULL_STEPS_COLUMNS // columns))


def schedule(progress: float) -> float:
    """Return the share of the peak learning rate: linear warm-up, then cosine down to 5 %."""
    if progress < WARM_UP:
        return progress / WARM_UP
    along = (progress - WARM_UP) / (1 - WARM_UP)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along))


def make_optimiser(network: nn.Module, settings: LnmSettings) -> torch.optim.AdamW:
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    vectors = [p for p in network.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)
