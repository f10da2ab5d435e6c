"""A session that does not fit in memory: what training waits for, holds, and spends on reading.

    python tests/benchmarks/bench_lnm_reading.py [UNITS [HOURS [HELD_GIB]]]

Writes an aligned session of so many calcium units at 20 Hz as the lake stores it, holds HELD_GIB of
it, and trains on all of it in chunks. Prints the share of the steps' time that they waited for
their batches, the most memory that the process held, and what the parts of making ready four chunks
take: reading and decoding them from Zarr, from a memory map of float32 (which a cache of decoded
values would be), and the skip's predictions.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr

from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.common.zarr_trees import open_tree, write_tree
from tasks.lnm.data.reading import ROWS, open_source
from tasks.lnm.training.batches import draw_ahead
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.optimise import average_weights, take_step
from tasks.lnm.training.schedule import make_optimiser
from tasks.lnm.training.session import Session, divide_recording
from tasks.lnm.training.train import build_network

RATE_HZ, LATENTS, STEPS = 20.0, 20, 300


def write_session(path: Path, units: int, hours: float) -> None:
    """Write units that mix slow latents, and two of these as behaviour, a chunk at a time."""
    length = int(3600 * hours * RATE_HZ)
    mixing = np.random.default_rng(0).standard_normal((LATENTS, units)).astype(np.float32)

    def latents(number: int, size: int) -> np.ndarray:
        steps = np.random.default_rng(number).standard_normal((LATENTS, size + 20))
        kernel = np.ones(21) / 5
        return np.stack([np.convolve(s, kernel, "valid") for s in steps], axis=1)

    def piece(block_info: dict, *, behaviour: bool) -> np.ndarray:
        (number, _), (start, stop) = (
            block_info[None][k] for k in ("chunk-location", "array-location")
        )
        latent_TL = latents(number, start[1] - start[0]).astype(np.float32)
        if behaviour:
            return latent_TL[:, :2]
        noise = np.random.default_rng((number, 1)).standard_normal(
            (len(latent_TL), units), dtype=np.float32
        )
        return latent_TL @ mixing[:, stop[0] : stop[1]] + 0.5 * noise

    rows = da.core.normalize_chunks((ROWS,), (length,))[0]
    activity, speed = (
        da.map_blocks(
            piece,
            chunks=(rows, (n,)),
            dtype=np.float32,
            behaviour=n == 2,
            meta=np.empty((0, 0), np.float32),
        )
        for n in (units, 2)
    )
    time_T = np.arange(length) / RATE_HZ
    axis = {"time": ("time", time_T, {"units": "s"})}
    edges = {"bin_start": ("time", time_T - 0.025), "bin_stop": ("time", time_T + 0.025)}
    groups = {
        "/": xr.Dataset(attrs={"session_name": "long", "subject_id": "long"}),
        "/clock": xr.Dataset(
            {"segment": ("time", np.zeros(length, np.int32)), **edges},
            axis,
            {"stream_kind": "clock", "rate_hz": RATE_HZ},
        ),
        "/calcium": xr.Dataset(
            {"activity": (("time", "unit"), activity), "valid": ("time", np.ones(length, bool))},
            {**axis, "unit": [f"n{n}" for n in range(units)]},
            {"stream_kind": "calcium", "primary": "activity"},
        ),
        "/running": xr.Dataset(
            {"value": (("time", "channel"), speed), "valid": ("time", np.ones(length, bool))},
            {**axis, "channel": ["forward", "turn"]},
            {"stream_kind": "motion", "primary": "value"},
        ),
    }
    write_tree(xr.DataTree.from_dict(groups), path)


def time_parts(session: Session, scratch: Path) -> dict[str, float]:
    """Return the seconds of reading four chunks from Zarr and a memory map, and of all of it."""
    own = session.chunks
    pieces = own.pieces
    begun = time.perf_counter()
    values = [own.source.read(*piece) for piece in own.choose(pieces, 0, 0)]
    zarr_s = time.perf_counter() - begun
    mapped = np.lib.format.open_memmap(
        scratch / "decoded.npy", "w+", np.float32, (len(pieces), *values[0].shape)
    )
    for at, value in enumerate(values):
        mapped[at, : len(value)] = value
    begun = time.perf_counter()
    copied = [np.array(mapped[at]) for at in range(len(values))]
    map_s = time.perf_counter() - begun
    begun = time.perf_counter()
    own.hold(own.choose(pieces, 0, 0))
    whole_s = time.perf_counter() - begun
    return {"samples": sum(map(len, copied)), "zarr_s": zarr_s, "map_s": map_s, "all_s": whole_s}


def main(units: int = 500, hours: float = 4.0, held_gib: float = 0.1) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_session(Path(folder) / "tree", units, hours)
        source = open_source(open_tree(Path(folder) / "tree"))
        settings = LnmSettings(
            split=SplitSettings(guard_s=4.0), baselines=(), held_gib=held_gib, window=64
        )
        session = divide_recording(source, settings)
        network = build_network(session, settings)
        optimiser, machine, costs = make_optimiser(network, settings), Machine(), session.costs
        average = {n: t.clone() for n, t in network.state_dict().items()}
        state = np.random.default_rng(0).bit_generator.state
        batches = draw_ahead([session], settings, state, range(1, STEPS + 1))
        # What the first chunks take, before there is any step, is told by itself.
        begun = time.perf_counter()
        batch, _, draw_next = next(batches)
        first_s, begun, waited_s = time.perf_counter() - begun, time.perf_counter(), 0.0
        for _ in range(STEPS - 1):
            take_step(network, optimiser, batch, costs, machine, draw_next)
            average_weights(network, average, 0.99)
            asked = time.perf_counter()
            batch, _, draw_next = next(batches)
            waited_s += time.perf_counter() - asked
        steps_s = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        told = {
            "session_gib": source.gib,
            "held_gib": held_gib,
            "peak_gib": peak,
            "first_wait_s": first_s,
            "ms_per_step": 1e3 * steps_s / (STEPS - 1),
            "share_waiting": waited_s / steps_s,
            **time_parts(session, Path(folder)),
        }
        print({name: round(value, 3) for name, value in told.items()})  # noqa: T201


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, float, float), sys.argv[1:], strict=False)))
