"""What happens around the animal: tone cues, sync pulses, and the sound of it all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.behaviour import Series

CUE_S = 0.5
AUDIO_CONVERSION = 1.0 / 32768
"""Volts a count of the 16-bit microphone."""


@dataclass(frozen=True)
class Cues:
    """Trials of one tone each: start (trial,) in seconds and pitch (trial,) in Hz."""

    start_R: NDArray[np.float64]
    pitch_R: NDArray[np.float64]


@dataclass(frozen=True)
class Audio:
    """int16 counts (sample,) from time 0 on at `rate_hz`."""

    count_S: NDArray[np.int16]
    rate_hz: float


def schedule_cues(settings: SimulateSettings, rng: np.random.Generator) -> Cues:
    """Draw tones at uneven intervals around `trial_every_s`; each ends within the recording."""
    gap_R = settings.trial_every_s * rng.uniform(
        0.75, 1.25, int(2 * settings.duration_s / settings.trial_every_s) + 2
    )
    # The first comes after a second: the shortest session has a trial.
    start_R = np.round(1.0 + np.cumsum(gap_R) - gap_R[0], 4)
    start_R = start_R[start_R + 2 * CUE_S < settings.duration_s]
    pitch_R = np.where(rng.random(len(start_R)) < 0.5, 0.1, 0.2) * settings.audio_rate_hz
    return Cues(start_R, pitch_R)


def pulse_sync(settings: SimulateSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return sync pulse times at uneven intervals near one second.

    No two stretches of intervals are alike, so a lost pulse can be told from a late one.
    """
    gap_P = rng.uniform(0.7, 1.3, int(settings.duration_s / 0.7) + 1)
    time_P = np.round(np.cumsum(gap_P), 5)
    return time_P[time_P < settings.duration_s]


def record_audio(
    running: Series, cues: Cues, settings: SimulateSettings, rng: np.random.Generator
) -> Audio:
    """Record footfalls, louder and faster with speed, the cue tones and a quiet noise."""
    samples = int(settings.duration_s * settings.audio_rate_hz)
    time_S = np.arange(samples, dtype=np.float32) / np.float32(settings.audio_rate_hz)
    distance_S = np.cumsum(running.value) * np.median(np.diff(running.time_S))
    # Footfalls: noise whose loudness swings once every 3 cm, half a stride.
    swing_S = running.value * (1 + np.cos(2 * np.pi * distance_S / 3.0))
    loudness_S = np.interp(time_S, running.time_S, swing_S).astype(np.float32)
    sound_S = (4.0 + 6.0 * loudness_S) * rng.standard_normal(samples, dtype=np.float32)
    for start, pitch in zip(cues.start_R, cues.pitch_R, strict=True):
        inside = slice(*np.searchsorted(time_S, [start, start + CUE_S]))
        sound_S[inside] += 3000 * np.sin(2 * np.pi * pitch * (time_S[inside] - start))
    return Audio(np.clip(sound_S, -32768, 32767).astype(np.int16), settings.audio_rate_hz)
