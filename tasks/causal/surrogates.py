"""Series that share everything with a cause but its tie to the effect."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SurrogateKind = Literal["shift", "phase"]


def make_surrogates(
    series_T: NDArray[np.floating],
    kind: SurrogateKind,
    count: int,
    margin: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return surrogates (surrogate, time) of one series; gaps stay where they are.

    Valid samples are taken as one sequence: at a gap a surrogate may jump, as the series may.

    Parameters
    ----------
    kind : 'shift' turns the sequence round by a random number of samples; 'phase' gives its
        Fourier components random phases
    margin : least shift in samples, either way
    """
    valid_T = np.isfinite(series_T)
    made_ST = np.full((count, len(series_T)), np.nan, np.float32)
    make = _MAKERS[kind]
    made_ST[:, valid_T] = make(series_T[valid_T].astype(np.float64), count, margin, rng)
    return made_ST


def shift_round(
    series_T: NDArray[np.float64], count: int, margin: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Turn a series round by random shifts, each different while there are enough.

    Keeps the values and, but for one seam, all that happens in time.
    """
    length = len(series_T)
    margin = min(margin, max(length // 2 - 1, 0))
    possible = np.arange(margin, length - margin)
    shifts_S = rng.choice(possible, count, replace=len(possible) < count)
    turned: NDArray[np.float64] = series_T[(np.arange(length) + shifts_S[:, None]) % length]
    return turned


def randomize_phases(
    series_T: NDArray[np.float64], count: int, margin: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Give the Fourier components of a series random phases; amplitudes and mean are exact.

    Any length, odd ones too. `margin` is not used.

    References
    ----------
    Ebisuzaki 1997, doi:10.1175/1520-0442(1997)010<2147:AMTETS>2.0.CO;2
    """
    length = len(series_T)
    spectrum_F = np.fft.rfft(series_T)
    turn_SF = np.exp(2j * np.pi * rng.random((count, len(spectrum_F))))
    turn_SF[:, 0] = 1
    if length % 2 == 0:
        # The highest component of an even length is real: it can only keep or change its sign.
        turn_SF[:, -1] = rng.choice([-1.0, 1.0], count)
    randomized: NDArray[np.float64] = np.fft.irfft(spectrum_F * turn_SF, length, axis=1)
    return randomized


_Maker = Callable[[NDArray[np.float64], int, int, np.random.Generator], NDArray[np.float64]]
_MAKERS: dict[SurrogateKind, _Maker] = {"shift": shift_round, "phase": randomize_phases}
