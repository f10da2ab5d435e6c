"""Where training runs: device, precision, and how many processes share a batch."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule

from schemas.settings.lnm import LnmSettings
from tasks.lnm.network.costs import Costs
from tasks.lnm.network.guess import Rows
from tasks.lnm.network.model import Inputs, Prediction


@dataclass(frozen=True)
class Machine:
    """One process of a training.

    rank, size : its number among the processes that share each batch, and how many there are
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    bfloat16: bool = False
    compiled: bool = False
    rank: int = 0
    size: int = 1

    @classmethod
    def choose(cls, settings: LnmSettings) -> "Machine":
        """Return the machine that the settings ask for, and join the others under torchrun.

        "auto" takes a GPU where there is one, and bfloat16 where it has it.
        """
        wanted = settings.device
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        rank, size = _join("nccl" if wanted == "cuda" else "gloo")
        on_gpu = wanted == "cuda"
        number = rank % torch.cuda.device_count() if on_gpu else 0
        device = torch.device(wanted, number)
        fast = settings.precision == "bfloat16"
        if settings.precision == "auto":
            fast = on_gpu and torch.cuda.is_bf16_supported()
        compiled = on_gpu if settings.compile == "auto" else settings.compile == "on"
        return cls(device, fast, compiled, rank, size)

    def compile(self, network: nn.Module) -> nn.Module:
        """Return the network, compiled where this machine does so; both share their weights."""
        if not self.compiled or isinstance(network, FSDPModule):
            return network
        return cast(nn.Module, torch.compile(network))

    def run(self, network: nn.Module, inputs: Inputs, rows: Rows | None = None) -> Prediction:
        """Run the network in this machine's precision; what it predicts is float32.

        rows : see `LargeNeuralModel.forward`
        """
        asked_A = None if inputs.asked_A is None else self.put(inputs.asked_A)
        with self._precision():
            placed = inputs.change(self.put)._replace(asked_A=asked_A)
            location, scale, middle = network(placed, rows)
        return Prediction(location.float(), scale.float(), middle.float())

    def place_costs(self, costs: Costs) -> Costs:
        """Return what errors of means cost, on the device."""
        return Costs._make(self.put(t) for t in costs)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a value over all processes, without gradient."""
        found = value.detach().clone()
        if self.size > 1:
            distributed.all_reduce(found)
        return found

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients of all processes, so that each takes the same step."""
        if self.size == 1:
            return
        parameters = [p for p in network.parameters() if p.requires_grad]
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
        )
        distributed.all_reduce(flat)
        for parameter, grad in zip(
            parameters, flat.split([p.numel() for p in parameters]), strict=True
        ):
            parameter.grad = grad.view_as(parameter).clone()

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def put(self, tensor: Tensor) -> Tensor:
        """Return a tensor on the device."""
        return tensor.to(self.device, non_blocking=True)


def _join(backend: Literal["nccl", "gloo"]) -> tuple[int, int]:
    """Return rank and size of the processes that torchrun started; 0 and 1 without it."""
    if not distributed.is_torchelastic_launched() and not distributed.is_initialized():
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group(backend)
    return distributed.get_rank(), distributed.get_world_size()
