"""How much of the simulated animal's sound anything could know that was recorded beside it.

    python tests/benchmarks/bench_lnm_ceiling.py [SECONDS]

The sound is noise whose loudness follows the steps, some five a second, and cues at uneven times.
So it is recorded again and again of the same animal, and features are taken at 10 Hz as align has
them. Printed is R2 of the last fifth, of envelope and mel bands, for three who know ever less:
steps and cues; steps; running at 10 Hz, which is what other streams tell (best of polynomials up
to the seventh degree of it, its means and its slope, on the test part itself: a generous bound).
"""

import sys

import numpy as np
from scipy.ndimage import gaussian_filter1d

from schemas.settings.preprocess import PreprocessSettings
from schemas.settings.simulate import SimulateSettings
from tasks.preprocess.audio import SILENCE, feature_weights
from tasks.simulate.animal import simulate_animal
from tasks.simulate.behaviour import Series
from tasks.simulate.events import AUDIO_CONVERSION, Audio, Cues, record_audio, schedule_cues

RATE_HZ, DRAWS, FRAMES = 10.0, 8, 2000
DEGREES = (1, 3, 5, 7)


def hear(sound: Audio) -> np.ndarray:
    """Return (time, feature) envelope and mel bands at RATE_HZ."""
    volts_S = sound.count_S * AUDIO_CONVERSION
    chosen = PreprocessSettings().audio
    width = max(round(chosen.window_s * sound.rate_hz), 2)
    weights = feature_weights(width, sound.rate_hz, chosen)[:, : chosen.mel_bands]
    first_F = np.arange(0, len(volts_S) - width, sound.rate_hz / chosen.rate_hz).astype(int)
    found = []
    for at in range(0, len(first_F), FRAMES):
        frames = volts_S[first_F[at : at + FRAMES, None] + np.arange(width)]
        power = np.abs(np.fft.rfft(frames * np.hanning(width))) ** 2 / width**2
        envelope = np.sqrt((frames**2).mean(1, keepdims=True))
        found.append(np.concatenate([envelope, 10 * np.log10(power @ weights + SILENCE)], axis=1))
    features = np.concatenate(found)
    each = round(chosen.rate_hz / RATE_HZ)
    whole = len(features) // each * each
    return np.asarray(features[:whole].reshape(-1, each, features.shape[1]).mean(1))


def fit_running(
    running: Series, real_TF: np.ndarray, train_T: np.ndarray, degree: int
) -> np.ndarray:
    """Return (time, feature) what polynomials of running at RATE_HZ tell."""
    speed_T = np.interp((np.arange(len(real_TF)) + 0.5) / RATE_HZ, running.time_S, running.value)
    means = [speed_T, *(gaussian_filter1d(speed_T, sigma) for sigma in (1, 2))]
    parts = [(x - x.mean()) / x.std() for x in (*means, np.gradient(speed_T))]
    powers = [x**power for x in parts for power in range(1, degree + 1)]
    design = np.stack([np.ones(len(speed_T)), parts[0] * parts[3], parts[0] * parts[1], *powers], 1)
    return np.asarray(design @ np.linalg.lstsq(design[train_T], real_TF[train_T], rcond=None)[0])


def compare(seconds: float = 480.0) -> None:
    """Print the three rows."""
    settings = SimulateSettings(seed=7, duration_s=seconds)
    rng = np.random.default_rng(settings.seed)
    animal = simulate_animal(settings, rng)
    running, real_TF = animal.running, hear(animal.audio)
    test_T = np.arange(len(real_TF)) >= 0.8 * len(real_TF)

    def explained(answer_TF: np.ndarray) -> np.ndarray:
        missed, truth = (answer_TF - real_TF)[test_T], real_TF[test_T]
        return np.asarray(1 - (missed**2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0))

    def expect(cues: Cues | None) -> np.ndarray:
        drawn = [cues or schedule_cues(settings, rng) for _ in range(DRAWS)]
        heard = [hear(record_audio(running, own, settings, rng)) for own in drawn]
        return np.asarray(np.mean(heard, axis=0))

    tried = [explained(fit_running(running, real_TF, ~test_T, d)) for d in DEGREES]
    rows = {
        "steps and cues known": explained(expect(animal.cues)),
        "steps known": explained(expect(None)),
        "running at 10 Hz known": np.max(tried, axis=0),
    }
    for name, found in rows.items():
        print(f"{name:24}", *(f"{value:6.3f}" for value in found))  # noqa: T201


if __name__ == "__main__":
    compare(*map(float, sys.argv[1:]))
