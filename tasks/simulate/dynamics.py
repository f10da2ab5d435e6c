"""How the units move: a network of Mackey-Glass rate units.

Each unit is a rate with delayed feedback whose response rises and then falls,

    T_i dx_i/dt = -x_i + 2 u_i / (1 + u_i^10),
    u_i(t) = (1 - sum_j w_ij) x_i(t - delay_i) + sum_j w_ij x_j(t - synapse_delay),

the equation of Mackey and Glass (1977, doi:10.1126/science.267326) with other units mixed into
the delayed input. Why this one:

- It is a rate: positive, bounded, a leak and a delayed non-monotonic response (drive that turns
  into inhibition).
- With a delay of 2.1 to 3.2 time constants it is chaotic throughout (measured on single units:
  largest Lyapunov exponent 0.06 to 0.1 per time constant; periodic below 1.7 and again near 2.0
  and 3.8) on an attractor of dimension 2 to 4 (Farmer 1982, doi:10.1016/0167-2789(82)90042-2).
  Convergent cross mapping assumes just this: a deterministic low-dimensional attractor, unfolded
  by lags of the effect, that carries the cause's state (Sugihara et al. 2012,
  doi:10.1126/science.1227079).
- Chaos makes unconnected units forget each other, so skill between them vanishes; periodic units
  of like frequency would seem to be connected.
- Time constants and delays differ between units and coupling is weak, so that no unit is slaved
  to its causes: under generalised synchronisation effects are recovered from causes as well as
  causes from effects, and no method can tell direction from states alone.
- The response folds its input, so an edge leaves little linear correlation behind.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.wiring import Wiring

CHAOTIC_DELAYS = (2.1, 3.2)
"""Delays in time constants between which a unit is chaotic."""
WARM_UP_S = 30.0
"""Time for transients to die out before the recording starts."""


@dataclass(frozen=True)
class Trajectory:
    """The state of every unit on a fine grid that starts at the session's start.

    time_T : seconds
    rate_TN : dimensionless, positive, about 0.2 to 1.4
    """

    time_T: NDArray[np.float64]
    rate_TN: NDArray[np.float64]

    def sample(self, time_S: NDArray[np.float64], node: int) -> NDArray[np.float64]:
        """Return one unit's rate at the given times, interpolated linearly."""
        return np.interp(time_S, self.time_T, self.rate_TN[:, node])


def integrate_network(
    wiring: Wiring, settings: SimulateSettings, rng: np.random.Generator
) -> Trajectory:
    """Run the network past its transients and then for the length of the recording.

    Forward Euler at `step_s` (40 steps a time constant): the discrete system is itself the truth.
    """
    step = settings.step_s
    constant_N, delay_N = draw_timescales(len(wiring.nodes), settings, rng)
    own_lag_N = np.maximum(1, np.rint(delay_N / step)).astype(np.intp)
    synapse_lag = max(1, round(settings.synapse_delay_s / step))
    past = max(int(own_lag_N.max()), synapse_lag)
    skipped = past + round(WARM_UP_S / step)
    recorded = round(settings.duration_s / step) + 1
    rate_TN = np.empty((skipped + recorded, len(wiring.nodes)))
    rate_TN[:past] = rng.uniform(0.5, 1.2, len(wiring.nodes))
    own_weight_N = 1.0 - wiring.weight_NN.sum(1)
    column_N = np.arange(len(wiring.nodes))
    gain_N = step / constant_N
    for now in range(past, len(rate_TN)):
        last_N = rate_TN[now - 1]
        own_N = rate_TN[now - own_lag_N, column_N]
        input_N = own_weight_N * own_N + wiring.weight_NN @ rate_TN[now - synapse_lag]
        rate_TN[now] = last_N + gain_N * (respond(input_N) - last_N)
    return Trajectory(np.arange(recorded, dtype=np.float64) * step, rate_TN[skipped:])


def respond(input_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Mackey-Glass response 2u / (1 + u^10): rises to about u = 0.8, then falls."""
    square_N = input_N * input_N
    fourth_N = square_N * square_N
    return 2.0 * input_N / (1.0 + fourth_N * fourth_N * square_N)


def draw_timescales(
    units: int, settings: SimulateSettings, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each unit's time constant and feedback delay in seconds.

    Both are spread evenly and paired at random, so that no two units have the same cycle.
    """
    relative_N = np.linspace(1 - settings.spread, 1 + settings.spread, units)
    constant_N = settings.time_constant_s * rng.permutation(relative_N)
    return constant_N, constant_N * rng.permutation(np.linspace(*CHAOTIC_DELAYS, units))
