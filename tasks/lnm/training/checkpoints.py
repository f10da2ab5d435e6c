"""Training states on disk: safetensors and JSON, from which a killed run goes on exactly."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasks.lnm.training.sharding import divide_as, gather

COMMITTED = "checkpoint.json"


@dataclass
class Curves:
    """What training went through; one entry for each validation."""

    step: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best_step: int = 0
    stopped: str = ""

    @property
    def latest(self) -> str:
        """The last losses, in words."""
        return f"loss {self.train_loss[-1]:.3f}, validation {self.validation_loss[-1]:.3f}"

    @property
    def point(self) -> dict[str, float]:
        """The last losses and learning rate, by the name of their curve."""
        losses = {"loss/train": self.train_loss[-1], "loss/validation": self.validation_loss[-1]}
        return {**losses, "learning_rate": self.learning_rate[-1]}

    def extend(self, other: "Curves") -> None:
        """Add what another training went through behind this one."""
        before = self.step[-1] if self.step else 0
        self.step += [before + step for step in other.step]
        self.train_loss += other.train_loss
        self.validation_loss += other.validation_loss
        self.learning_rate += other.learning_rate
        self.best_step = before + other.best_step
        self.stopped = "; ".join(filter(None, (self.stopped, other.stopped)))

    def record(self, step: int, train: float, validation: float, rate: float) -> None:
        """Add one validation."""
        self.step.append(step)
        self.train_loss.append(train)
        self.validation_loss.append(validation)
        self.learning_rate.append(rate)


@dataclass
class TrainingState:
    """Everything that the next step depends on.

    average : moving average (EMA) of the weights
    best, best_loss : average of least validation loss, that loss
    recent : training losses since the last validation
    """

    network: nn.Module
    optimiser: torch.optim.AdamW
    rng: np.random.Generator
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    best_loss: float
    curves: Curves = field(default_factory=Curves)
    recent: list[float] = field(default_factory=list)
    step: int = 0


def save_state(state: TrainingState, folder: Path, identity: str, *, write: bool = True) -> None:
    """Write a state; the one before stays until the new one is complete.

    identity : what the run is of; a state of another run is not taken up
    write : false in all processes but one, which have part in gathering divided tensors
    """
    tensors = gather(_tensors(state))
    if not write:
        return
    folder.mkdir(parents=True, exist_ok=True)
    name = f"step-{state.step:08d}.safetensors"
    save_file({n: t.contiguous() for n, t in tensors.items()}, str(folder / name))
    described = {
        "identity": identity,
        "tensors": name,
        "step": state.step,
        "rng": state.rng.bit_generator.state,
        "best_loss": state.best_loss,
        "recent": state.recent,
        "curves": asdict(state.curves),
    }
    draft = folder / f"{COMMITTED}.tmp"
    draft.write_text(json.dumps(described), encoding="utf-8")
    # The rename commits: until then the old JSON names the old, complete weights.
    draft.replace(folder / COMMITTED)
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def restore_state(state: TrainingState, folder: Path, identity: str) -> bool:
    """Put a saved state into `state`; false if there is none of this run."""
    if not (folder / COMMITTED).is_file():
        return False
    described = json.loads((folder / COMMITTED).read_text(encoding="utf-8"))
    if described["identity"] != identity:
        return False
    tensors = load_file(str(folder / described["tensors"]))
    device = next(state.network.parameters()).device
    tensors = {n: t if n == "torch_rng" else t.to(device) for n, t in tensors.items()}
    like = state.network.state_dict()
    network, state.average, state.best = (
        divide_as(_part(tensors, f"{part}."), like) for part in ("network", "average", "best")
    )
    state.network.load_state_dict(network)
    _restore_optimiser(state.optimiser, _part(tensors, "optimiser."))
    torch.set_rng_state(tensors["torch_rng"])
    state.rng.bit_generator.state = described["rng"]
    state.step, state.best_loss = described["step"], described["best_loss"]
    state.recent, state.curves = described["recent"], Curves(**described["curves"])
    return True


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    # Copies: safetensors refuses tensors that share memory, as sessions share the core.
    found = {f"network.{n}": t.clone() for n, t in state.network.state_dict().items()}
    found |= {f"average.{n}": t.clone() for n, t in state.average.items()}
    found |= {f"best.{n}": t.clone() for n, t in state.best.items()}
    for at, moments in state.optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{at}.{n}": t for n, t in moments.items()}
    return found | {"torch_rng": torch.get_rng_state()}


def _restore_optimiser(optimiser: torch.optim.AdamW, tensors: Mapping[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, tensor in tensors.items():
        at, name = key.split(".")
        moments.setdefault(int(at), {}).update(
            divide_as({name: tensor}, {name: parameters[int(at)]})
        )
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
