"""Weights, gradients and moments divided among processes (FSDP2): for networks beyond one GPU."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from schemas.settings.lnm import LnmSettings
from tasks.lnm.network.model import LargeNeuralModel
from tasks.lnm.training.machine import Machine


def divides(settings: LnmSettings, machine: Machine, networks: Sequence[nn.Module]) -> bool:
    """Tell whether weights are divided: several processes, one network, and as the settings say."""
    if machine.size == 1 or len(networks) > 1:
        return False
    if settings.sharded == "auto":
        return settings.preset == "large" and machine.device.type == "cuda"
    return settings.sharded == "on"


def divide(network: LargeNeuralModel, machine: Machine) -> LargeNeuralModel:
    """Return a copy of which this process holds its share, block by block.

    Gradients are added up, not averaged: losses are already weighed for the whole batch.
    """
    own = deepcopy(network).to(machine.device)
    for module in (*own.blocks, own):
        sharded = fully_shard(module)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
    return own


def gather(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return whole tensors of divided ones; every process must ask, and all get them."""
    return {n: t.full_tensor() if isinstance(t, DTensor) else t for n, t in tensors.items()}


def divide_as(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors divided as those of the same name and shape are."""
    return {n: _divide_one(t, like[n]) if n in like else t for n, t in tensors.items()}


def _divide_one(tensor: Tensor, like: Tensor) -> Tensor:
    if isinstance(like, DTensor) and tensor.shape == like.shape:
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor


def own_share(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return what this process holds of each, which shares its memory."""
    return [t.to_local() if isinstance(t, DTensor) else t for t in tensors]
