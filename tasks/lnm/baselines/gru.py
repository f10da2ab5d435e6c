"""A small recurrent network, trained on the same samples: what a network of one task can do."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tasks.lnm.data.locations import location_to_middle
from tasks.lnm.data.recording import Floats, Ints
from tasks.lnm.linear.problems import Problem
from tasks.lnm.linear.skip import context_of

HIDDEN, STEPS, BATCH, EVERY, RATE = 48, 400, 64, 40, 3e-3
MOST_LOG_RATE = 5.0


class Recurrent(nn.Module):
    """A GRU over a stretch of inputs; reads both ways unless the question is causal."""

    def __init__(self, inputs: int, outputs: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.gru = nn.GRU(2 * inputs, HIDDEN, batch_first=True, bidirectional=not causal)
        self.head = nn.Linear(HIDDEN * (1 if causal else 2), outputs)

    def forward(self, stretch_BLI: Tensor) -> Tensor:
        """Return (stretch, output) at the last sample if causal, else at the middle one."""
        hidden_BLD, _ = self.gru(stretch_BLI)
        at = -1 if self.causal else hidden_BLD.shape[1] // 2
        answer_BO: Tensor = self.head(hidden_BLD[:, at])
        return answer_BO


@dataclass(frozen=True)
class FittedRecurrent:
    """A trained GRU and the problem it answers."""

    problem: Problem
    network: Recurrent

    @torch.no_grad()
    def locate(self, rows: Ints) -> Floats:
        """Return (row, output) predictions."""
        anchor_O = _anchors(self.problem)
        out = np.empty((len(rows), len(anchor_O)), np.float32)
        for at in range(0, len(rows), 512):
            own = rows[at : at + 512]
            out[at : at + 512] = self.network(_stretches(self.problem, own)).numpy()
            if self.problem.last_TO is not None:
                out[at : at + 512] += anchor_O * self.problem.last_TO[own]
        return np.where(self.problem.counts_O, np.clip(out, -10, MOST_LOG_RATE), out)

    def middle(self, rows: Ints) -> Floats:
        """Return (row, output) medians: of a normal its mean, of a Poisson its middle count."""
        return location_to_middle(self.locate(rows), self.problem.scaler, self.problem.counts_O)


def fit_recurrent(problem: Problem) -> FittedRecurrent | None:
    """Train with AdamW on random training rows; keep the state of least validation loss."""
    known = np.isfinite(problem.target_TO).any(1)
    train, held_out = (np.flatnonzero(known & part) for part in (problem.train, problem.validation))
    if not len(train) or not len(held_out):
        return None
    held_out = held_out[:: max(1, len(held_out) // 1000)]
    rng = np.random.default_rng(problem.seen.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(problem.seen.seed)
        network = Recurrent(
            problem.seen.z_TI.shape[1], len(problem.outputs), causal=problem.seen.causal
        )
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    best, least = {n: t.clone() for n, t in network.state_dict().items()}, np.inf
    for step in range(1, STEPS + 1):
        loss = _loss(problem, network, rng.choice(train, BATCH))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % EVERY == 0:
            with torch.no_grad():
                cost = float(_loss(problem, network, held_out))
            if cost < least:
                best, least = {n: t.clone() for n, t in network.state_dict().items()}, cost
    network.load_state_dict(best)
    return FittedRecurrent(problem, network)


def _loss(problem: Problem, network: Recurrent, rows: Ints) -> Tensor:
    """Return squared error, or for counts the Poisson loss in counts over their mean."""
    target_TO, anchor_O, counts_O = problem.target_TO[rows], _anchors(problem), problem.counts_O
    if problem.last_TO is not None:
        target_TO = target_TO - anchor_O * problem.last_TO[rows]
    scaler = problem.scaler
    share_TO = target_TO * scaler.sd_V / np.where(counts_O, np.maximum(scaler.mean_V, 1e-6), 1) + 1
    wanted = torch.from_numpy(np.nan_to_num(np.where(counts_O, share_TO, target_TO)))
    answer = network(_stretches(problem, rows))
    log_rate = answer.clamp(-10, MOST_LOG_RATE)
    error = torch.where(
        torch.from_numpy(counts_O), log_rate.exp() - wanted * log_rate, (answer - wanted) ** 2
    )
    return error[torch.from_numpy(np.isfinite(target_TO))].mean()


def _anchors(problem: Problem) -> Floats:
    """Forecasts of continuous columns are of the change since the last value."""
    forecast = problem.last_TO is not None
    return np.where(problem.counts_O, 0.0, float(forecast)).astype(np.float32)


def _stretches(problem: Problem, rows: Ints) -> Tensor:
    """Return (row, sample, 2 * input) values around each row, or up to it, and which are known."""
    seen = problem.seen
    half = context_of(seen.window)
    offset_L = np.arange(-half + 1, 1) if seen.causal else np.arange(-half, half + 1)
    index_BL = rows[:, None] + offset_L
    start_T, stop_T = _run_ends(problem)
    inside_BL = (index_BL >= start_T[rows][:, None]) & (index_BL < stop_T[rows][:, None])
    z_BLI = seen.z_TI[np.clip(index_BL, 0, len(seen.z_TI) - 1)]
    known_BLI = np.isfinite(z_BLI) & inside_BL[..., None]
    values = np.where(known_BLI, z_BLI, 0).astype(np.float32)
    return torch.from_numpy(np.concatenate([values, known_BLI.astype(np.float32)], axis=2))


def _run_ends(problem: Problem) -> tuple[Ints, Ints]:
    start_T = np.zeros(len(problem.seen.z_TI), np.int64)
    stop_T = np.zeros_like(start_T)
    for start, stop in problem.seen.runs:
        start_T[start:stop], stop_T[start:stop] = start, stop
    return start_T, stop_T
