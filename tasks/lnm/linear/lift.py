"""Random features: linear maps of them are what a Gaussian kernel would find, in closed form.

Rahimi & Recht 2007, "Random features for large-scale kernel machines": cosines of random
projections have the kernel's inner products, and cost what ridge costs.
"""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.data.recording import Floats, Ints
from tasks.lnm.linear.normal_equations import Doubles

RANDOM = 400
"""Cosines."""
WIDTH = 0.5
"""Bends of the kernel across one standard deviation of all coordinates together."""


@dataclass(frozen=True)
class Lift:
    """A few of the features, and cosines of their random sums.

    at_C : numbers of the features that are lifted, the coordinates
    centre_C, turn_CR, phase_R : cosines are of (coordinates - centre) @ turn + phase
    """

    at_C: Ints
    centre_C: Floats
    turn_CR: Floats
    phase_R: Floats

    @classmethod
    def draw(cls, features_TF: Floats, at_C: Ints, rng: np.random.Generator) -> "Lift":
        """Draw the cosines; coordinates count alike by their spread in the given rows."""
        known_TC = features_TF[:, at_C]
        spread_C = known_TC.std(0)
        scale_C = 1 / np.where(spread_C > 1e-6, spread_C, 1.0)
        turn_CR = rng.standard_normal((len(at_C), RANDOM)) * WIDTH / np.sqrt(len(at_C))
        phase_R = rng.uniform(0, 2 * np.pi, RANDOM).astype(np.float32)
        turned_CR = (turn_CR * scale_C[:, None]).astype(np.float32)
        return cls(at_C, known_TC.mean(0), turned_CR, phase_R)

    def apply(self, features_TF: Floats) -> Doubles:
        """Return (row, coordinate and cosine) features.

        Doubles: maps weigh hundreds of cosines against each other, and rounding would show.
        """
        known_TC = features_TF[:, self.at_C].astype(np.float64) - self.centre_C
        return np.concatenate([known_TC, np.cos(known_TC @ self.turn_CR + self.phase_R)], axis=1)
