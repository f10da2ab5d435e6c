"""A thousand random rigs of known truth: error of every time that is mapped, and what is refused.

Beside it, on the same rigs, what is commonly done: pulses paired in order, the longer list cut to
the length of the shorter, with a straight line or np.interp through them. Prints a table and draws
the distribution of errors to the folder TECTUM_BENCH (default: the system's temporary folder).
"""

import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from schemas.settings.sync import BarcodeSettings, SyncSettings
from tasks.align.sync import Sync, synchronise
from tasks.align.sync_barcode import read_barcode
from tasks.align.sync_chains import Pulses
from tasks.simulate.rig import Rig, RigSettings, draw_rig, measure_errors, simulate_rig

RIGS = 1000
SAMPLES = 1000
WRONG_S = 2e-3
"""An answer further off than this is wrong; it must not occur."""
WORDS = BarcodeSettings(start_s=0.06)
Times = NDArray[np.float64]


def relate(rig: Rig, asked: RigSettings) -> Sync:
    """Synchronise what a rig recorded; only barcodes are read as such."""
    if asked.train == "barcode":
        reference = read_barcode(rig.reference_R, rig.reference_R + rig.width_R, WORDS)
        device = read_barcode(rig.device_P, rig.device_P + rig.width_P, WORDS)
    else:
        reference, device = Pulses.plain(rig.reference_R), Pulses.plain(rig.device_P)
    return synchronise(reference, device, SyncSettings())


def cut_and_fit(rig: Rig) -> tuple[Times, Times]:
    """Return device and session times paired in order, the longer list cut."""
    count = min(len(rig.device_P), len(rig.reference_R))
    return rig.device_P[:count], rig.reference_R[:count]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_rigs(benchmark, capsys):
    asked, rigs = [], []
    for seed in range(RIGS):
        rng = np.random.default_rng([3, seed])
        asked.append(draw_rig(rng))
        rigs.append(simulate_rig(asked[-1], rng))
    syncs = benchmark.pedantic(lambda: [relate(*pair) for pair in zip(rigs, asked, strict=True)])
    errors: dict[str, list[Times]] = {"tectum": [], "truncate + line": [], "np.interp": []}
    for seed, (rig, sync) in enumerate(zip(rigs, syncs, strict=True)):
        device, session = cut_and_fit(rig)
        line = np.polynomial.Polynomial.fit(device, session, 1)
        order = np.argsort(device, kind="stable")
        ways = {
            "tectum": sync.clock_map().convert,
            "truncate + line": line,
            "np.interp": lambda t, x=device[order], y=session[order]: np.interp(t, x, y),
        }
        for name, convert in ways.items():
            rng = np.random.default_rng([4, seed])
            errors[name].append(np.abs(measure_errors(rig, convert, SAMPLES, rng)))
    together = {name: np.concatenate(parts) for name, parts in errors.items()}
    verdicts = Counter((a.train, s.verdict) for a, s in zip(asked, syncs, strict=True))
    wrong = sum(bool((np.nan_to_num(e) > WRONG_S).any()) for e in errors["tectum"])
    with capsys.disabled():
        print(f"\n{RIGS} rigs, {SAMPLES} times each")  # noqa: T201
        print(tabulate(together))  # noqa: T201
        print(tabulate_trains(asked, errors["tectum"], verdicts))  # noqa: T201
        print(f"rigs with a mapped time off by more than 2 ms: {wrong}")  # noqa: T201
        print(draw(together))  # noqa: T201
    ours = together["tectum"][np.isfinite(together["tectum"])]
    benchmark.extra_info |= {"median_ms": 1e3 * np.median(ours), "wrong_rigs": wrong}
    assert np.median(ours) < 1e-4
    assert np.quantile(ours, 0.99) < 1e-3
    assert wrong == 0


def tabulate(errors: dict[str, Times]) -> str:
    """Return a line a way: median, p99, greatest error in ms, and the share refused."""
    lines = [f"{'':18}{'median ms':>12}{'p99 ms':>12}{'max ms':>14}{'refused':>10}"]
    for name, error in errors.items():
        known = 1e3 * error[np.isfinite(error)]
        median, p99 = np.quantile(known, [0.5, 0.99])
        refused = np.isnan(error).mean()
        lines.append(f"{name:18}{median:12.4g}{p99:12.4g}{known.max():14.4g}{refused:10.1%}")
    return "\n".join(lines)


def tabulate_trains(
    asked: list[RigSettings], errors: list[Times], verdicts: Counter[tuple[str, str]]
) -> str:
    """Return a line a kind of pulse train: rigs, verdicts, share refused, greatest error."""
    lines = []
    for train in sorted({a.train for a in asked}):
        own = np.concatenate([e for a, e in zip(asked, errors, strict=True) if a.train == train])
        ended = ", ".join(f"{n} {v}" for (t, v), n in sorted(verdicts.items()) if t == train)
        worst = 1e3 * np.nanmax(own, initial=0)
        refused = np.isnan(own).mean()
        lines.append(f"{train:10}{ended}; {refused:.1%} of times refused; max {worst:.3g} ms")
    return "\n".join(lines)


def draw(errors: dict[str, Times]) -> Path:
    """Draw the share of times with an error below each size."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for name, error in errors.items():
        known = np.sort(error[np.isfinite(error)])
        at = np.unique(np.linspace(0, len(known) - 1, 2000).astype(int))
        axes.plot(1e3 * np.maximum(known[at], 1e-9), (at + 1) / len(known), label=name)
    axes.axvline(0.1, color="grey", lw=0.8, ls="--")
    axes.axvline(1.0, color="grey", lw=0.8, ls=":")
    axes.set(xscale="log", xlabel="error [ms]", ylabel="share of mapped times", ylim=(0, 1.02))
    axes.legend(loc="lower right")
    folder = Path(os.environ.get("TECTUM_BENCH", tempfile.gettempdir()))
    path = folder / "sync_errors.svg"
    figure.savefig(path)
    return path
