"""kEDM's convergence of anchovy landings and sea temperature, its libraries drawn again.

The call is that of kEDM's own test, whose published numbers kEDM 0.10 returns to 3e-8; of the
published file itself only editions made by older draws could be had, so kEDM is run. It draws from
all samples, those without a whole history too, by Floyd's algorithm on PCG32.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.causal.engine import Engine, ReferenceEngine
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule
from tests.oracles.conftest import ReadTable
from tests.oracles.draws import MemberDraws

SIZES, SAMPLES, SEED = list(range(10, 76, 5)), 100, 42


@dataclass(frozen=True)
class GivenDraws(MemberDraws):
    """Libraries whose members are given (draw, time), of series without gaps at Tp = 0."""

    member_DT: NDArray[np.bool_] = field(kw_only=True)

    def members(
        self, library: int, draw: int, candidates_L: NDArray[np.integer]
    ) -> NDArray[np.integer]:
        """Return the members among the candidates, which are the last samples."""
        return candidates_L[self.member_DT[draw, -len(candidates_L) :]]


def pcg32(seed: int) -> Iterator[int]:
    """Yield the random numbers of PCG-XSH-RR (O'Neill 2014), 32 bits each."""
    multiplier, increment, mask = 6364136223846793005, 1442695040888963407, 2**64 - 1
    state = ((seed + increment) * multiplier + increment) & mask
    while True:
        mixed, turn = ((state >> 18 ^ state) >> 27) & (2**32 - 1), state >> 59
        yield (mixed >> turn | mixed << (-turn & 31)) & (2**32 - 1)
        state = (state * multiplier + increment) & mask


def kedm_members(sizes: list[int], length: int, seed: int) -> NDArray[np.bool_]:
    """Return the members of each library (draw, time), as kEDM takes them in turn."""
    words = pcg32(seed)
    member_DT = np.zeros((len(sizes), length), bool)
    for member_T, size in zip(member_DT, sizes, strict=True):
        for i in range(length - size, length):
            # No remainder is likelier than another.
            word = next(word for word in words if word >= 2**32 % i)
            member_T[i if member_T[word % i] else word % i] = True
    return member_DT


@pytest.mark.parametrize(
    ("engine", "every", "atol"), [(ReferenceEngine, 13, 1e-6), (CpuEngine, 1, 1e-4)]
)
def test_the_published_curve(pyedm: ReadTable, engine: type[Engine], every: int, atol: float):
    kedm = pytest.importorskip("kedm")
    table = pyedm("sardine_anchovy_sst")[["anchovy", "np_sst"]]
    # kEDM reads float32.
    series_NT = np.ascontiguousarray(standardise(table.to_numpy(float)).T.astype(np.float32))
    theirs = [
        kedm.ccm(effect_T, cause_T, lib_sizes=SIZES, sample=SAMPLES, E=3, seed=SEED)
        for effect_T, cause_T in (series_NT, series_NT[::-1])
    ]
    length = series_NT.shape[1]
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(length, int), np.full(2, 3), CrossMapRule()
    )
    size_D = np.repeat(SIZES, SAMPLES)
    taken_D = np.isin(size_D, SIZES[::every])
    member_DT = kedm_members(size_D.tolist(), length, SEED)[taken_D]
    draws = GivenDraws(size_D[taken_D].tolist(), 0, member_DT=member_DT)
    mean_SBM = engine(problem).skills([0, 1], draws)[1:].reshape(-1, SAMPLES, 2, 2).mean(1)
    ours = [mean_SBM[:, 0, 1], mean_SBM[:, 1, 0]]
    np.testing.assert_allclose(ours, np.array(theirs)[:, ::every], rtol=0, atol=atol)
