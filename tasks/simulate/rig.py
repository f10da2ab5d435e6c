"""Rigs of known truth: a pulse line that a session's clock and a device's clock both record.

Everything that goes wrong on real rigs can be asked for: drift that bends, pulses lost or added on
either side, jitter, restarts of the device's clock, frames that the camera never stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
WIDTH_S = 0.01
BIT_S = 0.03
WORD_EVERY = 15
"""Intervals from one barcode word to the next."""
Train = Literal["uneven", "regular", "wobbly", "barcode"]


@dataclass(frozen=True)
class RigSettings:
    """What a rig is like.

    Attributes
    ----------
    duration_s, interval_s : length of the recording, mean time between pulses
    train : 'uneven' intervals (0.7 to 1.3 of the mean), exactly 'regular' ones, 'wobbly' (regular
        but for the generator's own jitter of `wobble_s`), or the rising edges of 'barcode' words
    offset_s, drift_ppm : session minus device at the start; mean rate difference
    bend_ppm, bends : how far the drift strays from its mean, over how many swings
    lost, added : fraction of pulses lost and of false ones added, on each side by itself
    jitter_s : standard deviation of each recorded time, on each side by itself
    resets : how often the device's clock restarts
    backwards : whether a restart sets the clock to zero, or else moves it forward
    unseen : fraction of pulses that the generator itself left out, so neither side has them
    """

    duration_s: float = 1200.0
    interval_s: float = 1.0
    train: Train = "uneven"
    wobble_s: float = 0.0
    offset_s: float = 0.0
    drift_ppm: float = 0.0
    bend_ppm: float = 0.0
    bends: float = 1.5
    lost: float = 0.0
    added: float = 0.0
    jitter_s: float = 0.0
    resets: int = 0
    backwards: bool = False
    unseen: float = 0.0


@dataclass(frozen=True)
class DeviceClock:
    """A device's clock: what it shows at any session time.

    Attributes
    ----------
    session_G, device_G : session and device time at which each stretch between restarts begins
    drift_ppm, bend_ppm, swing_s, phase : its rate against the session's over session time
    """

    session_G: Times
    device_G: Times
    drift_ppm: float
    bend_ppm: float
    swing_s: float
    phase: float

    def show(self, session_T: Times) -> Times:
        """Return device times; the clock is slow by the drift, so the session's gains on it."""
        stretch_T = self.stretch(session_T)
        run_T = self._run(session_T) - self._run(self.session_G)[stretch_T]
        return np.asarray(self.device_G[stretch_T] + run_T)

    def stretch(self, session_T: Times) -> NDArray[np.intp]:
        """Return the number of restarts before each session time."""
        return np.maximum(np.searchsorted(self.session_G, session_T, side="right") - 1, 0)

    def _run(self, session_T: Times) -> Times:
        turn = 2 * np.pi / self.swing_s
        sway_T = (1 - np.cos(turn * session_T + self.phase)) / turn
        return session_T - 1e-6 * (self.drift_ppm * session_T + self.bend_ppm * sway_T)


@dataclass(frozen=True)
class Rig:
    """What both sides recorded, and the truth.

    Attributes
    ----------
    reference_R, device_P : recorded pulse times, the device's in recorded order
    width_R, width_P : how long each pulse lasted, in seconds
    pulse_R, pulse_P : which pulse of the line each is, -1 for one that never was
    clock : the device's clock
    """

    reference_R: Times
    device_P: Times
    width_R: Times
    width_P: Times
    pulse_R: NDArray[np.intp]
    pulse_P: NDArray[np.intp]
    clock: DeviceClock


def simulate_rig(settings: RigSettings, rng: np.random.Generator) -> Rig:
    """Draw a pulse line and record it on two clocks."""
    line_L, width_L = draw_line(settings, rng)
    clock = draw_clock(settings, rng)
    session_R, pulse_R = _record(line_L, settings, rng)
    session_P, pulse_P = _record(line_L, settings, rng)
    width_R, width_P = (np.where(p < 0, WIDTH_S, width_L[p]) for p in (pulse_R, pulse_P))
    device_P = clock.show(session_P) + rng.normal(0, settings.jitter_s, len(session_P))
    reference_R = session_R + rng.normal(0, settings.jitter_s, len(session_R))
    order_R = np.argsort(reference_R, kind="stable")
    # Jitter may swap two pulses of the device, but not across a restart of its clock.
    order_P = np.lexsort((device_P, clock.stretch(session_P)))
    return Rig(
        reference_R[order_R],
        device_P[order_P],
        width_R[order_R],
        width_P[order_P],
        pulse_R[order_R],
        pulse_P[order_P],
        clock,
    )


def measure_errors(
    rig: Rig, convert: Callable[[Times], Times], samples: int, rng: np.random.Generator
) -> Times:
    """Return by how much device times are misplaced on the session's clock, NaN where refused.

    Parameters
    ----------
    convert : turns device times, in recorded order, into session times
    samples : how many times to try, spread at random between the reference's outermost pulses
    """
    session_T = np.sort(rng.uniform(rig.reference_R[0], rig.reference_R[-1], samples))
    return np.asarray(convert(rig.clock.show(session_T)) - session_T)


def draw_rig(rng: np.random.Generator) -> RigSettings:
    """Draw what a rig is like: all that issue 3 names, in random mixture."""
    kinds: tuple[Train, ...] = ("uneven", "uneven", "uneven", "barcode", "wobbly", "regular")
    train = kinds[int(rng.integers(len(kinds)))]
    resets = int(rng.choice([0, 0, 1, 2]))
    return RigSettings(
        duration_s=float(rng.uniform(600, 3600)),
        interval_s=float(rng.choice([0.5, 1.0, 2.0])),
        train=train,
        wobble_s=float(rng.uniform(2e-3, 2e-2)) if train == "wobbly" else 0.0,
        offset_s=float(rng.choice([rng.uniform(-100, 100), rng.uniform(-1e6, 1e6)])),
        drift_ppm=float(rng.choice([-32.0, 32.0]) * rng.uniform(0.5, 2)),
        bend_ppm=float(rng.uniform(0, 10)),
        bends=float(rng.uniform(0.5, 3)),
        lost=float(rng.uniform(0, 0.1)),
        added=float(rng.uniform(0, 0.1)),
        jitter_s=float(rng.uniform(0, 2e-4)),
        resets=resets,
        backwards=bool(rng.random() < 0.3),
        unseen=float(rng.choice([0.0, 0.05])),
    )


def draw_line(settings: RigSettings, rng: np.random.Generator) -> tuple[Times, Times]:
    """Return the session times at which the generator sent a pulse, and the pulses' lengths."""
    count = int(settings.duration_s / settings.interval_s)
    line_L: Times
    width_L: Times = np.full(count, WIDTH_S)
    if settings.train == "uneven":
        line_L = np.cumsum(settings.interval_s * rng.uniform(0.7, 1.3, count))
    elif settings.train == "barcode":
        line_L, width_L = _barcode_edges(settings, rng)
    else:
        even_L = settings.interval_s * (np.arange(count) + rng.random())
        line_L = even_L + rng.normal(0, settings.wobble_s, count)
    sent_L = rng.random(len(line_L)) >= settings.unseen
    return line_L[sent_L], width_L[sent_L]


def draw_clock(settings: RigSettings, rng: np.random.Generator) -> DeviceClock:
    """Return a clock that restarts at random times, not too close to one another."""
    parts = settings.resets + 1
    where = (np.arange(1, parts) + rng.uniform(-0.3, 0.3, settings.resets)) / parts
    session_G = np.concatenate([[0.0], settings.duration_s * where])
    jump_G = rng.uniform(0.05, 100.0, settings.resets)
    later_G = np.zeros(settings.resets) if settings.backwards else session_G[1:] + jump_G
    device_G = np.concatenate([[0.0], later_G]) - settings.offset_s
    return DeviceClock(
        session_G,
        device_G,
        settings.drift_ppm,
        settings.bend_ppm,
        settings.duration_s / settings.bends,
        float(rng.uniform(0, 2 * np.pi)),
    )


def drop_frames(count: int, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which frames were stored: losses come singly and in bursts, never the outermost."""
    stored_F = np.ones(count, bool)
    starts = np.flatnonzero(rng.random(count) < fraction / 2)
    for start in starts:
        stored_F[start : start + int(rng.geometric(0.5))] = False
    stored_F[[0, -1]] = True
    return stored_F


def _record(
    line_L: Times, settings: RigSettings, rng: np.random.Generator
) -> tuple[Times, NDArray[np.intp]]:
    """Return what one side sees of the line, in session time, and which pulse each is."""
    kept = np.flatnonzero(rng.random(len(line_L)) >= settings.lost)
    false = rng.uniform(line_L[0], line_L[-1], rng.binomial(len(line_L), settings.added))
    time = np.concatenate([line_L[kept], false])
    pulse = np.concatenate([kept, np.full(len(false), -1, np.intp)])
    order = np.argsort(time, kind="stable")
    return time[order], pulse[order]


def _barcode_edges(settings: RigSettings, rng: np.random.Generator) -> tuple[Times, Times]:
    """Return the pulses of counted words: a start bit, a pause, then 32 bits, low one first."""
    words = int(settings.duration_s / (WORD_EVERY * settings.interval_s))
    first = int(rng.integers(2**20, 2**31))
    rises, widths = [], []
    for word in range(words):
        bits = np.array([1, 0, *(((first + word) >> bit) & 1 for bit in range(32)), 0])
        step = np.diff(bits, prepend=0)
        rise, fall = np.flatnonzero(step == 1), np.flatnonzero(step == -1)
        rises.append(WORD_EVERY * settings.interval_s * (word + 0.1) + BIT_S * rise)
        widths.append(BIT_S * (fall - rise))
    return np.concatenate(rises), np.concatenate(widths)
