"""Tokens a second of LNM training beside plain torch, and the wait for data.

Ours: draw windows, mask them, add the skip, read in, core, read out, losses, step, average weights.
Beside it, in turns in one run, on tensors that are ready: `plain`, the same network, losses,
clipping and optimiser in a bare loop, so that the ratio tells what data and bookkeeping cost; and
`core`, the transformer blocks alone with a mean-square loss, so that it tells what all round them
costs.
"""

import time

import numpy as np
import pytest
import torch

from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.data.runs import split_with_guard
from tasks.lnm.training.batches import draw_ahead
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.objective import weigh_errors
from tasks.lnm.training.optimise import average_weights, take_step
from tasks.lnm.training.schedule import make_optimiser
from tasks.lnm.training.session import prepare_session
from tasks.lnm.training.train import build_network

WINDOW, SAMPLES = 64, 2000


def make_recording(units: int, samples: int = SAMPLES) -> Recording:
    """Return calcium units on 20 slow latents, and two channels."""
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((samples, 20)).astype(np.float32)
    latent = np.stack([np.convolve(s, np.ones(15) / 4, "same") for s in steps.T], axis=1)
    mixed = latent @ rng.standard_normal((20, units)).astype(np.float32)
    mixed += 0.5 * rng.standard_normal(mixed.shape, dtype=np.float32)
    values = np.concatenate([mixed, latent[:, :2]], axis=1).astype(np.float32)
    kinds = ("calcium",) * units + ("motion",) * 2
    names = tuple(map(str, range(units + 2)))
    columns = Columns(names, ("ca",) * units + ("a", "b"), kinds)
    return Recording(values, np.arange(samples) / 10.0, np.zeros(samples, np.int64), 10.0, columns)


def make_session(units: int, preset: str):
    """Prepare a session with its baselines and its skip."""
    recording = make_recording(units)
    settings = LnmSettings(
        split=SplitSettings(guard_s=1.0), baselines=(), preset=preset, window=WINDOW
    )
    split = split_with_guard(recording, settings.split, WINDOW)
    return prepare_session(recording, split, WINDOW, settings), settings


class Steps:
    """Training steps of a session, and what share of them was waiting for the batch."""

    def __init__(self, session, settings) -> None:
        self.session, self.settings = session, settings
        self.network = build_network(session, settings)
        self.optimiser = make_optimiser(self.network, settings)
        state = np.random.default_rng(0).bit_generator.state
        self.batches = draw_ahead([session], settings, state, range(1, 10_000))
        self.average = {n: t.clone() for n, t in self.network.state_dict().items()}
        self.machine, self.waited = Machine(), 0.0
        self.made = [next(self.batches)[0] for _ in range(8)]

    def take(self) -> float:
        """Return the seconds of one step."""
        start = time.perf_counter()
        batch, _, draw_next = next(self.batches)
        self.waited += time.perf_counter() - start
        about = (self.session.costs, self.machine, draw_next)
        take_step(self.network, self.optimiser, batch, *about)
        average_weights(self.network, self.average, 0.99)
        return time.perf_counter() - start

    def take_plain(self) -> float:
        """Return the seconds of one step of the same network and losses in a bare loop."""
        # In turn, as from a data set in memory: one batch alone would stay in the cache.
        self.made.append(self.made.pop(0))
        (batch,), costs = self.made[0], self.session.costs
        start = time.perf_counter()
        prediction = self.network(batch.inputs)
        _, slopes = weigh_errors(prediction, batch, costs)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(prediction, slopes)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return time.perf_counter() - start

    def take_core(self) -> float:
        """Return the seconds of one step of the same core on ready tensors."""
        network, patches = self.network, WINDOW // self.settings.patch
        if not hasattr(self, "ready"):
            width = network.norm.normalized_shape[0]
            self.ready = torch.randn(self.settings.batch_size, patches, width)
            angle = torch.arange(patches)[None, :, None] * network.angular_K
            self.rotation = (angle.cos()[:, None], angle.sin()[:, None])
            core = torch.nn.ModuleList([network.blocks, network.norm])
            self.core_optimiser = make_optimiser(core, self.settings)
        start = time.perf_counter()
        tokens = self.ready
        for block in network.blocks:
            tokens = block(tokens, self.rotation, None)
        loss = (network.norm(tokens) - self.ready).square().mean()
        self.core_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.blocks.parameters(), 1.0)
        self.core_optimiser.step()
        return time.perf_counter() - start


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "least", "rounds"), [("nano", None, 40), ("small", 0.9, 6)])
def test_tokens_a_second_against_plain_torch(benchmark, preset, least, rounds):
    steps = Steps(*make_session(100, preset))
    takes = (steps.take, steps.take_plain, steps.take_core)
    for _ in range(3):
        [take() for take in takes]
    steps.waited = 0.0
    taken = benchmark.pedantic(
        lambda: [[take() for take in takes] for _ in range(rounds)], rounds=1
    )
    ours, plain, core = np.median(taken, axis=0)
    tokens = steps.settings.batch_size * WINDOW // steps.settings.patch
    benchmark.extra_info |= {
        "tokens_per_s": tokens / ours,
        "windows_per_s": steps.settings.batch_size / ours,
        "plain_tokens_per_s": tokens / plain,
        "ratio_to_plain": plain / ours,
        "ratio_to_core_alone": core / ours,
        "share_waiting_for_data": steps.waited / float(np.sum(np.array(taken)[:, 0])),
    }
    print(f"\n{preset}: {benchmark.extra_info}")  # noqa: T201
    if least is not None:
        assert plain / ours > least
